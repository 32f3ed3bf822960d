"""Fixtures: a server on a free port, and clients that send raw bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gcron import socket
from gcron.timeout import Timeout
from gcron.wsgi import WSGIServer


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Limit each test, so that none waits for ever."""
    with Timeout(20):
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., WSGIServer]]:
    """Start servers that are stopped after the test. Silent, unless logs are given."""
    servers: list[WSGIServer] = []

    def start(application: Any, listener: Any = ("127.0.0.1", 0), **options: Any) -> WSGIServer:
        server = WSGIServer(listener, application, **{"log": None, "error_log": None, **options})
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=0)


class Client:
    """One connection, and the bytes that it receives."""

    def __init__(self, server: WSGIServer) -> None:
        family = socket.AF_INET if isinstance(server.address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family)
        self.socket.settimeout(10)
        self.socket.connect(server.address)
        if family == socket.AF_INET:
            # What is sent in pieces arrives in pieces.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Shut the sending side down."""
        self.socket.shutdown(socket.SHUT_WR)

    def read_all(self) -> bytes:
        """Return everything until the server closes the connection."""
        pieces = []
        while piece := self.socket.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def read_until(self, mark: bytes) -> bytes:
        """Return everything up to and including `mark`."""
        read = b""
        while not read.endswith(mark):
            piece = self.socket.recv(1)
            assert piece, f"closed after {read!r}"
            read += piece
        return read

    def is_closed(self) -> bool:
        """Wait until the server has closed the connection. False if it does not."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def connect() -> Iterator[Callable[[WSGIServer], Client]]:
    clients: list[Client] = []

    def new(server: WSGIServer) -> Client:
        clients.append(Client(server))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


@pytest.fixture
def ask(connect: Callable[[WSGIServer], Client]) -> Callable[[WSGIServer, bytes], bytes]:
    """Send bytes, shut the sending side down, and return the whole answer."""

    def ask(server: WSGIServer, data: bytes) -> bytes:
        client = connect(server)
        client.send(data)
        client.finish()
        return client.read_all()

    return ask
