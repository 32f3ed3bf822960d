"""What several tests of the runtime share. Nothing here acts by itself: modules name what they use in `pytestmark`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import gcron
from gcron import socket


@pytest.fixture
def no_descriptor_leaks() -> Iterator[None]:
    """No descriptor is left behind."""
    gcron.get_hub().io.open()  # the loop's own are open before the first count
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def bounded() -> Iterator[None]:
    """Ten seconds for each test."""
    with gcron.Timeout(10):
        yield


@pytest.fixture(params=["pidfd", "sigchld"])
def told_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How exits are learnt: by pidfds and, by taking them away, by SIGCHLD."""
    if request.param == "sigchld":
        monkeypatch.delattr(os, "pidfd_open")
    return str(request.param)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server socket on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two Unix sockets, connected."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other
