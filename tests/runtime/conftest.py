"""Fixtures of the runtime's tests. None is automatic: modules name those they use in `pytestmark`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import gcron
from gcron import socket


@pytest.fixture
def no_descriptor_leaks() -> Iterator[None]:
    """Fail if a test leaves a descriptor open."""
    gcron.get_hub().io.open()  # the loop's own are open before the first count
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def bounded() -> Iterator[None]:
    """Limit each test to ten seconds."""
    with gcron.Timeout(10):
        yield


@pytest.fixture(params=["pidfd", "sigchld"])
def told_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with pidfds, and again without, where exits are learnt from SIGCHLD."""
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
