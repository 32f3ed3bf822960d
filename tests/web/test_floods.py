"""Clients that want to hold what others need, beside a job that is due each second."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest

from tests.waiting import PATIENCE, SLACK

pytestmark = pytest.mark.realtime

Run = Callable[..., Any]
CRONTAB = "# gcron-file: fields=seconds-first\n# gcron: name=second keep-output=0\n* * * * * * true\n"
DESCRIPTORS = 128


class Attacked:
    """A gcron with few descriptors."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon
        port, self.token = daemon.wait_for(r"pages: http://127\.0\.0\.1:(\d+)/\?token=(\w+)$")[0]
        self.port = int(port)
        self.sockets: list[socket.socket] = []
        self.ask("/")  # loads all that answers
        self.memory = psutil.Process(daemon.process.pid).memory_info().rss

    def ask(self, path: str) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        status = connection.getresponse().status
        connection.close()
        return status

    def connect(self, data: bytes) -> None:
        """Say something, and read nothing."""
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        made.setblocking(False)
        with suppress(BlockingIOError):
            made.connect(("127.0.0.1", self.port))
        self.sockets.append(made)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                made.send(data)
                return
            time.sleep(0.002)

    def check(self, seconds: int) -> None:
        """Wait for so many runs more: none is missing, and none is late."""
        before = len(self.starts())
        self.daemon.wait_for(r"second +started", before + seconds)
        starts = self.starts()[before:]
        assert abs(starts[-1] - starts[0] - (len(starts) - 1)) <= 1.0
        assert "missed" not in self.daemon.log
        assert not re.search(r"second +late", self.daemon.log)
        assert psutil.Process(self.daemon.process.pid).memory_info().rss < self.memory + (32 << 20)

    def starts(self) -> list[float]:
        found = re.findall(r"^(\S+) +second +started", self.daemon.log, re.MULTILINE)
        return [datetime.fromisoformat(time).timestamp() for time in found]


@pytest.fixture
def attacked(gcron_run: Run) -> Iterator[Attacked]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

    made = Attacked(gcron_run(CRONTAB, "--http", "127.0.0.1:0", "--state", "memory", preexec_fn=limit))
    yield made
    for opened in made.sockets:
        opened.close()


def test_500_half_open_connections_keep_no_job_and_no_browser_waiting(attacked: Attacked) -> None:
    for _ in range(500):
        attacked.connect(b"GET / HTTP/1.1\r\nHost: ")
    attacked.check(4)
    began = time.monotonic()
    assert attacked.ask("/healthz") == 200
    assert time.monotonic() - began < 5.0 + SLACK


def test_200_readers_that_never_read_keep_no_job_and_no_browser_waiting(attacked: Attacked) -> None:
    request = f"GET /live?all=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {attacked.token}\r\n\r\n"
    for _ in range(200):
        attacked.connect(request.encode())
    attacked.check(4)
    assert attacked.ask("/") == 200


def test_a_flood_of_requests_keeps_no_job_waiting(attacked: Attacked) -> None:
    over = threading.Event()
    asked = [0, 0, 0, 0]

    def flood(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", attacked.port, timeout=PATIENCE)
        while not over.is_set():
            path = ("/healthz", "/", "/api/v1/jobs", "/static/gcron.css")[number]
            with suppress(OSError):
                connection.request("GET", path, headers={"Authorization": f"Bearer {attacked.token}"})
                connection.getresponse().read()
                asked[number] += 1
        connection.close()

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        attacked.check(5)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert min(asked) > 0
