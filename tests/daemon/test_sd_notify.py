"""Messages to a service manager, on a real datagram socket."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.daemon.sd_notify import Notifier
from tests.waiting import PATIENCE

Run = Callable[..., Any]


def addresses(tmp_path: Path) -> dict[str, str]:
    path = {"path": str(tmp_path / "notify")}
    return path | ({"abstract": f"@gcron-test-{os.getpid()}"} if sys.platform.startswith("linux") else {})


@pytest.fixture(params=["path", "abstract"] if sys.platform.startswith("linux") else ["path"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    address = addresses(tmp_path)[request.param]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        receiver.settimeout(PATIENCE)
        yield address, receiver


def test_the_service_manager_gets_start_reload_and_stop(gcron_run: Run, manager: tuple[str, socket.socket]) -> None:
    address, receiver = manager
    daemon = gcron_run(
        "@reboot echo socket=$NOTIFY_SOCKET.\n", "--no-watch", env={**os.environ, "NOTIFY_SOCKET": address}
    )
    assert receiver.recv(4096) == b"READY=1"
    before = time.monotonic_ns() // 1000
    daemon.send(signal.SIGHUP)
    told = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", receiver.recv(4096))
    assert told
    assert before <= int(told[1]) <= time.monotonic_ns() // 1000
    assert receiver.recv(4096) == b"READY=1"
    daemon.wait_for(r"socket=\.")  # jobs do not get the variable
    daemon.send(signal.SIGTERM)
    assert receiver.recv(4096) == b"STOPPING=1"
    assert daemon.wait() == 0


def test_a_reload_during_the_stop_is_not_announced(gcron_run: Run, manager: tuple[str, socket.socket]) -> None:
    """HUP during the stop read the files, wrote so to the log, and announced a reload that never ended."""
    address, receiver = manager
    daemon = gcron_run(
        "@reboot echo up; sleep 60\n", "--no-watch", "--grace", "60", env={**os.environ, "NOTIFY_SOCKET": address}
    )
    assert receiver.recv(4096) == b"READY=1"
    daemon.wait_for(r"\| up")
    daemon.send(signal.SIGTERM)
    assert receiver.recv(4096) == b"STOPPING=1"
    daemon.send(signal.SIGHUP)
    daemon.send(signal.SIGUSR1)  # handled after HUP, so the log is complete when the status is there
    daemon.wait_for("status: 1 job, 1 running")
    assert daemon.stop(signal.SIGINT) == 3
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(4096)


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@nobody-listens-here", "/" + "x" * 200, "nul\0byte"])
def test_a_service_manager_that_does_not_listen_is_ignored(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"NOTIFY_SOCKET": address})
    notifier = Notifier()
    notifier.ready()
    notifier.reloading()
    notifier.stopping()
    assert "NOTIFY_SOCKET" not in os.environ


def test_a_service_manager_that_reads_nothing_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        monkeypatch.setattr(os, "environ", {"NOTIFY_SOCKET": address})
        notifier = Notifier()
        for _ in range(10_000):  # more than the socket's queue holds (net.unix.max_dgram_qlen)
            notifier.ready()
