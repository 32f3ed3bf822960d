"""Clients that take what they can, beside a job of every second. Is a fire missed or late, does memory grow?

    python benchmarks/web_load.py --seconds 20

Each load gets a `gcron run --http` of its own. Exit status 1 when a fire is missed, or memory grows by 32 MB.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path

import psutil
from daemons import EVERY_SECOND

MOST_GROWTH = 32 << 20
SETTLING = 2.0
RATE, CONNECTIONS = 2000, 50
CRONTAB = f"# gcron: name=second keep-output=0\n{EVERY_SECOND}  true\n"
# Mostly cheap answers, as of a monitor; one in ten is the overview.
PATHS = ("/healthz",) * 8 + ("/static/gcron.css", "/")


@dataclass
class Clients:
    """Connections to a gcron, and what came through them."""

    port: int
    token: str
    process: psutil.Process
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    sockets: list[socket.socket] = field(default_factory=list)
    asked: int = 0
    answered: int = 0
    refused: int = 0
    received: int = 0

    def request(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()

    def connect(self, data: bytes, buffer: int = 0) -> socket.socket:
        """Say something, and go on at once."""
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.setblocking(False)
        with suppress(BlockingIOError):
            made.connect(("127.0.0.1", self.port))
        self.sockets.append(made)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            with suppress(BlockingIOError, OSError):
                made.send(data)
                break
            time.sleep(0.001)
        return made

    def read(self, wait: float) -> None:
        """Read what has come, at most so long."""
        for key, _ in self.selector.select(wait):
            assert isinstance(key.fileobj, socket.socket)
            data = b""
            with suppress(BlockingIOError, ConnectionError):
                data = key.fileobj.recv(1 << 18)
            if not data:
                self.selector.unregister(key.fileobj)
            self.received += len(data)
            self.answered += data.count(b"HTTP/1.1 ")
            self.refused += data.count(b"HTTP/1.1 503")


def browsers(clients: Clients, seconds: float) -> None:
    """100 browsers that follow the overview."""
    for _ in range(100):
        made = clients.connect(clients.request("/live?page=overview"))
        clients.selector.register(made, selectors.EVENT_READ)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        clients.read(0.1)


def readers_that_never_read(clients: Clients, seconds: float) -> None:
    """200 streams that nobody reads."""
    for number in range(200):
        clients.connect(clients.request("/live?all=1" if number % 2 else "/api/v1/events"), buffer=2048)
    time.sleep(seconds)


def flood(clients: Clients, seconds: float) -> None:
    """2,000 requests a second, sent whether or not they are answered."""
    paths = cycle(PATHS)
    begin = time.monotonic()
    places = cycle(range(CONNECTIONS))
    while (now := time.monotonic() - begin) < seconds:
        for _ in range(int(now * RATE) - clients.asked):
            clients.asked += 1
            place, data = next(places), clients.request(next(paths))
            if place >= len(clients.sockets):
                made = clients.connect(data)
                clients.selector.register(made, selectors.EVENT_READ)
                continue
            with suppress(BlockingIOError, ConnectionError):
                clients.sockets[place].send(data)
        clients.read(0.002)


def half_open(clients: Clients, seconds: float) -> None:
    """500 connections that send half a request, at 128 descriptors."""
    for _ in range(500):
        clients.connect(b"GET / HTTP/1.1\r\nHost: ")
    time.sleep(seconds)


LOADS: dict[str, tuple[Callable[[Clients, float], None], int]] = {
    "nothing": (lambda clients, seconds: time.sleep(seconds), 0),
    "100 browsers": (browsers, 0),
    "200 that never read": (readers_that_never_read, 0),
    "2,000 requests a second": (flood, 0),
    "500 half-open, 128 descriptors": (half_open, 128),
}


def main() -> int:
    """Try each load, print what was seen, and return 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load (default 20)")
    options = parser.parse_args()
    print(f"{'':32}{'runs':>6}{'missed':>8}{'median':>10}{'worst':>10}{'memory':>10}  answers")
    return max([_try(name, load, limit, options.seconds) for name, (load, limit) in LOADS.items()])


def _try(name: str, load: Callable[[Clients, float], None], descriptors: int, seconds: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        crontab, log = Path(folder, "crontab"), Path(folder, "log")
        crontab.write_text(CRONTAB)
        words = ["run", "--log-format", "json", "--http", "127.0.0.1:0", "--state", "memory", "--no-control"]
        with log.open("wb") as output:
            limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (descriptors, descriptors))
            process = subprocess.Popen(
                [sys.executable, "-m", "gcron", *words, str(crontab)],
                stdout=output,
                preexec_fn=limit if descriptors else None,
            )
        try:
            clients = _clients(process.pid, log)
            before = clients.process.memory_info().rss
            begin = time.time()
            load(clients, seconds)
            growth = clients.process.memory_info().rss - before
            time.sleep(SETTLING)
            late, missed = _fires(log, begin, begin + seconds)
        finally:
            process.terminate()
            process.wait()
        for opened in clients.sockets:
            opened.close()
    answers = f"{clients.answered:,} of {clients.asked:,}, {clients.refused:,} with 503" if clients.asked else ""
    if clients.received and not clients.asked:
        answers = f"{clients.received:,} bytes"
    middle, worst = sorted(late)[len(late) // 2] * 1000, max(late) * 1000
    print(
        f"{name:32}{len(late):6}{missed:8}{middle:7.1f} ms{worst:7.1f} ms{growth / (1 << 20):7.1f} MB  {answers}",
        flush=True,
    )
    return int(missed > 0 or growth >= MOST_GROWTH)


def _clients(pid: int, log: Path) -> Clients:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := re.search(r"pages: http://127\.0\.0\.1:(\d+)/\?token=(\w+)", log.read_text()):
            clients = Clients(int(found[1]), found[2], psutil.Process(pid))
            for _ in range(3):  # loads all that answers
                connection = HTTPConnection("127.0.0.1", clients.port, timeout=30)
                connection.request("GET", "/", headers={"Authorization": f"Bearer {clients.token}"})
                connection.getresponse().read()
                connection.close()
            return clients
        time.sleep(0.05)
    raise TimeoutError("gcron does not serve its pages")


def _fires(log: Path, begin: float, end: float) -> tuple[Sequence[float], int]:
    """By how many seconds each start was late, and how many fires had none."""
    late = {}
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record.get("event") == "run-started":
            fire = datetime.fromisoformat(record["fire_at"]).timestamp()
            if begin <= fire < end:
                late[fire] = datetime.fromisoformat(record["time"]).timestamp() - fire
    first = int(begin) + 1
    return list(late.values()), sum(float(second) not in late for second in range(first, int(end)))


if __name__ == "__main__":
    sys.exit(main())
