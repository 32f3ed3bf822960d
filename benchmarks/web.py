"""What the pages cost: the overview of many jobs, until it is made, and how long the loop's thread is busy for it.

    python benchmarks/web.py --impl gcron

There is no peer: these are promises of docs/web.md.
"""

from __future__ import annotations

import gc
import io
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import harness
from harness import Area, Measure

AREAS = (
    Area(
        "overview",
        "the overview of that many jobs, of which it shows 150",
        1_000,
        (
            Measure("the page", "ms"),
            Measure("made of records, in a thread", "ms"),
            Measure("CPU of the loop's thread", "ms"),
            Measure("a timer is late by, at most", "ms"),
            Measure("size, sent compressed", "MB"),
        ),
    ),
    Area("row", "that many jobs that change at once, for 100 browsers", 150, (Measure("all browsers have it", "ms"),)),
    Area(
        "followers",
        "that many jobs that change at once, five times, while 100 browsers follow the overview over sockets",
        150,
        (Measure("a timer is late by, at most", "ms"), Measure("CPU of the loop's thread at a time, at most", "ms")),
    ),
)
_HOST = "127.0.0.1:9180"
_BROWSERS = 100
_NAP = 0.001
_ROW = b"<tr><td><a"
# Of the jobs, a second apart, while browsers follow.
_CHANGES = 5


class Pages:
    """The areas."""

    def overview(self, size: int) -> tuple[float, ...]:
        """Seconds until the answer, of the thread, of the loop, of its longest turn; bytes."""
        with _site(size) as (application, gcron):
            from gcron.web import overview

            pages = application._pages
            _ask(application)
            pages._board.forget()
            turns = _Turns()
            cpu, begun = time.thread_time(), time.perf_counter()
            body = _ask(application)
            whole, busy = time.perf_counter() - begun, time.thread_time() - cpu
            longest, _ = turns.stop()
            harness.check(b"/jobs/customer-" in body, "the page has no jobs")
            records = pages._board.records()
            wanted = overview.Filter.read({})
            _, data = pages._overview({})
            begun = time.perf_counter()
            view = overview.page(records, data["instance"], (), wanted, gcron.clock.now())
            frame = {"path": "/", "said": "", "csrf": "x", "may_change": True, "instance": data["instance"], "now": 0.0}
            pages._renderer.render("overview.html", **{**frame, **view})
            return whole, time.perf_counter() - begun, busy, longest, float(len(_ask(application, "gzip")))

    def row(self, size: int) -> float:
        """Seconds from the change to the last browser."""
        from gcron.scheduler.events import JobPaused

        with _site(size) as (application, gcron):
            streams = [_stream(application) for _ in range(_BROWSERS)]
            for stream in streams:
                next(stream)
            begun = time.perf_counter()
            for job in gcron.scheduler.jobs:
                application._pages._live._note(JobPaused(gcron.clock.now(), job.name))
            for stream in streams:
                harness.check(next(stream).count(b"<tr>") == size, "rows are missing")
            return time.perf_counter() - begun

    def followers(self, size: int) -> tuple[float, float]:
        """Seconds by which a timer is late, and of the loop's CPU."""
        from gcron import subprocess
        from gcron.greenlet import sleep
        from gcron.scheduler.events import JobPaused
        from gcron.web.server import LIMITS
        from gcron.wsgi import WSGIServer

        with _site(size) as (application, gcron), socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            server = WSGIServer(listener, application, log=None, limits=LIMITS)
            server.start()
            port = listener.getsockname()[1]
            client = subprocess.Popen([sys.executable, __file__, "follow", str(port)], stdout=subprocess.PIPE)
            while len(application._pages._live._readers) < _BROWSERS:
                sleep(_NAP)
            turns = _Turns()
            for _ in range(_CHANGES):
                for job in gcron.scheduler.jobs:
                    application._pages._live._note(JobPaused(gcron.clock.now(), job.name))
                sleep(1.0)
            longest = turns.stop()
            application.close()
            server.stop()
            received = int(client.communicate()[0])
            harness.check(received >= _BROWSERS * size, f"only {received:,} rows came")
            return longest


class _Turns:
    """Measures by how much a timer is late, as a fire would be. It does not spin: threads need the interpreter, too."""

    def __init__(self) -> None:
        from gcron.greenlet import spawn

        self._latest = self._busiest = 0.0
        self._watcher = spawn(self._watch)

    def _watch(self) -> None:
        from gcron.greenlet import sleep

        while True:
            before, busy = time.perf_counter(), time.thread_time()
            sleep(_NAP)
            self._latest = max(self._latest, time.perf_counter() - before - _NAP)
            self._busiest = max(self._busiest, time.thread_time() - busy)

    def stop(self) -> tuple[float, float]:
        """By how many seconds it was late at most, and how many of them the loop's thread itself took, at most."""
        self._watcher.kill()
        return self._latest, self._busiest


@contextmanager
def _site(size: int) -> Iterator[tuple[object, object]]:
    from gcron import Scheduler
    from gcron.control.instance import Instance
    from gcron.scheduler.history import StoredRun
    from gcron.scheduler.journal import Batch
    from gcron.state.rules import KEEP
    from gcron.state.sqlite import SqliteStore
    from gcron.web.access import Access
    from gcron.web.address import read_address
    from gcron.web.application import Application
    from gcron.web.happened import Happened
    from gcron.web.metrics import Metrics
    from gcron.web.server import SWITCH_INTERVAL
    from gcron.web.settings import HttpSettings
    from gcron.web.tally import MetricsTally

    directory = tempfile.TemporaryDirectory()
    store = SqliteStore(directory.name, KEEP)
    scheduler = Scheduler(state=store)
    now = time.time()
    for number in range(size):
        scheduler.command("true", f"{number % 60} {number % 24} * * *", name=f"customer-{number:04}")
    outcomes = ("succeeded",) * 17 + ("failed", "skipped", "succeeded")
    store.write(
        Batch(
            runs=tuple(
                StoredRun(
                    f"{run:08x}{number:08x}",
                    f"customer-{number:04}",
                    now - 3600 + run,
                    outcomes[(run + number // 7) % 20],
                    finished=now - 3600 + run,
                    duration=0.5 + (run * 7 + number) % 10 / 10,
                )
                for number in range(size)
                for run in range(30)
            )
        )
    )
    gcron = Instance(scheduler, "bench", ("crontab",), None, now)
    access = Access("x" * 20, time.time, time.monotonic)
    metrics = Metrics(gcron, MetricsTally(scheduler), lambda: 0)
    address = read_address(_HOST)
    application = Application(
        gcron, HttpSettings(anonymous="read"), access, address, metrics, Happened(scheduler), _BROWSERS
    )
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()  # as `gcron run` does, once it has read its files
    yield application, gcron
    application.close()
    store.close()
    directory.cleanup()


def _stream(application: object) -> Iterator[bytes]:
    return _call(application, "/live", "page=overview", "")


def _ask(application: object, encoding: str = "") -> bytes:
    return b"".join(_call(application, "/", "", encoding))


def _call(application: object, path: str, query: str, encoding: str) -> Iterator[bytes]:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": _HOST,
        "HTTP_ACCEPT": "text/html",
        "HTTP_ACCEPT_ENCODING": encoding,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
    }
    return application(environ, lambda status, headers: harness.check(status == "200 OK", status))


# -- the client, a process of its own --------------------------------------------------------------------------


def follow(port: int) -> int:
    """Follow the overview as that many browsers, until the server ends it; return how many rows came."""
    selector = selectors.DefaultSelector()
    for _ in range(_BROWSERS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.send(f"GET /live?page=overview HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode())
        while b"retry" not in connection.recv(1 << 12):  # one after the other: 64 requests may be under way
            pass
        selector.register(connection, selectors.EVENT_READ, b"")
    rows = 0
    while selector.get_map():
        for key, _ in selector.select():
            data = key.fileobj.recv(1 << 20)
            if not data:
                selector.unregister(key.fileobj)
                continue
            data = key.data + data
            rows += data.count(_ROW)
            selector.modify(key.fileobj, selectors.EVENT_READ, data[-len(_ROW) + 1 :])
    return rows


PROGRAM = harness.Program("web", AREAS, {"gcron": Pages})

if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        print(follow(int(sys.argv[2])))
    else:
        harness.main(PROGRAM)
