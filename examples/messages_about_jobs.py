"""Messages about the jobs of a program: a server gets one when a job fails, and one when it works again.

Prints:
    failure: backup failed: OSError: no space
    recovery: backup works again
"""

import json
import logging
from collections.abc import Iterable

from gcron import Scheduler
from gcron.queue import Queue
from gcron.wsgi import WSGIServer

messages: Queue[dict[str, str]] = Queue()


def hook(environ: dict, start_response) -> Iterable[bytes]:
    """What takes the messages. Mostly, this is another machine."""
    messages.put(json.loads(environ["wsgi.input"].read()))
    start_response("204 No Content", [])
    return []


server = WSGIServer(("127.0.0.1", 0), hook, log=None)
server.start()
logging.getLogger("gcron").setLevel(logging.CRITICAL)  # this program prints the messages instead

scheduler = Scheduler()
scheduler.notify(f"http://127.0.0.1:{server.server_port}/", on=["failure", "recovery"])
problems = ["no space"]


@scheduler.job("@daily")
def backup() -> None:
    if problems:
        raise OSError(problems.pop())


scheduler.start()
for _ in range(2):
    scheduler.trigger("backup").result.get(timeout=10)
    message = messages.get(timeout=10)
    print(f"{message['kind']}: {message['title'].partition(' (')[0]}")

scheduler.stop()
server.stop()
