"""A web application with a scheduler in a thread of its own. The page shows the result of a job.

Prints:
    fresh as of run 1
    stopped, with nothing left behind
"""

import threading
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from gcron import Scheduler

scheduler = Scheduler()
page = {"text": "nothing yet"}


@scheduler.job("@every 10m")
def refresh() -> None:
    page["text"] = f"fresh as of run {scheduler.counts.of('refresh').succeeded + 1}"


def application(environ, start_response):
    """Run in a thread without greenlets; it may trigger a job."""
    if environ["PATH_INFO"] == "/refresh":
        scheduler.trigger("refresh").result.get(timeout=10)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [page["text"].encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None: ...


scheduler.start_thread()
with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/refresh", timeout=10).read().decode())
    server.shutdown()
    serving.join()
report = scheduler.stop(grace=5)
print("stopped, with nothing left behind" if not report.left_behind else report)
