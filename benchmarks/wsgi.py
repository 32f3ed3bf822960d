"""WSGI servers, one process each: what a request for a few bytes costs.

    python benchmarks/wsgi.py --impl gcron --only keep-alive

The client is a process of its own, the same for all: this file, run with a port. Each of its 16 connections asks,
waits for the answer and asks again. The listening socket has TCP_NODELAY, and so has every connection: gevent's server
sends head and body in two segments, and the second would wait 40 ms for the client's delayed acknowledgement.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter, process_time
from typing import Any

import harness
from harness import Area, Measure, check

MEASURES = (Measure("each", "µs"), Measure("server cpu each", "µs"))
AREAS = (
    Area("keep-alive", "a request on one of 16 open connections", 20_000, MEASURES),
    Area("connection-each", "a request on a connection of its own, 16 at once", 4_000, MEASURES),
)
CONNECTIONS = 16
BODY = b"Hello, world!\n"
KEEPING = b"GET /hello?x=y HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"
CLOSING = KEEPING.replace(b"Accept: */*", b"Connection: close")


class Greenlets:
    """gcron and gevent, which share their names."""

    def __init__(self, package: str, server_module: str) -> None:
        self.make_server = import_module(server_module).WSGIServer
        self.subprocess = import_module(f"{package}.subprocess")

    def keep_alive(self, count: int) -> tuple[float, float]:
        return self._serve(count, "keep")

    def connection_each(self, count: int) -> tuple[float, float]:
        return self._serve(count, "close")

    def _serve(self, count: int, way: str) -> tuple[float, float]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        server = self.make_server(self._own(listener), _application, log=None)
        server.start()
        command = [sys.executable, __file__, "ask", str(port), str(count), way]
        cpu = process_time()
        client = self.subprocess.Popen(command, stdout=self.subprocess.PIPE)
        answered, seconds = json.loads(client.communicate()[0])
        cpu = process_time() - cpu
        server.stop()
        check(client.returncode == 0 and answered == count, "an answer that was not right")
        return seconds / count, cpu / count

    def _own(self, listener: socket.socket) -> Any:
        return listener


class Gevent(Greenlets):
    def _own(self, listener: socket.socket) -> Any:
        # gevent's server takes gevent's sockets only.
        own = import_module("gevent.socket").socket(fileno=listener.detach())
        own.setblocking(False)
        return own


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


# -- the client ------------------------------------------------------------------------------------------


def ask(port: int, count: int, way: str) -> tuple[int, float]:
    """Send `count` requests over `CONNECTIONS` connections; return how many answers were right, and seconds."""
    selector = selectors.DefaultSelector()
    request = KEEPING if way == "keep" else CLOSING
    asked = answered = 0

    def begin() -> None:
        nonlocal asked
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, bytearray())
        connection.send(request)
        asked += 1

    start = perf_counter()
    for _ in range(min(CONNECTIONS, count)):
        begin()
    while answered < count:
        for key, _ in selector.select():
            connection: Any = key.fileobj
            data = connection.recv(65536)
            key.data.extend(data)
            if data and (way == "close" or not key.data.endswith(BODY)):
                continue
            if not key.data.endswith(BODY):
                return answered, perf_counter() - start
            answered += 1
            key.data.clear()
            if way == "close":
                selector.unregister(connection)
                connection.close()
                if asked < count:
                    begin()
            elif asked < count:
                connection.send(request)
                asked += 1
    return answered, perf_counter() - start


PROGRAM = harness.Program(
    "wsgi",
    AREAS,
    {
        "gcron": lambda: Greenlets("gcron", "gcron.wsgi"),
        "gevent": lambda: Gevent("gevent", "gevent.pywsgi"),
    },
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        print(json.dumps(ask(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
    else:
        harness.main(PROGRAM)
