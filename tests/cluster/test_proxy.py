"""The proxy forwards, holds back, delays and resets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.cluster.proxy import Proxy
from tests.postgres import HOST
from tests.waiting import PATIENCE, takes


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that sends back what it gets."""
    with socket.create_server((HOST, 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        made = Proxy(server.getsockname()[1])
        yield made
        made.close()
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket) -> None:
    while True:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(peer,), daemon=True).start()


def _echo(peer: socket.socket) -> None:
    with peer:
        try:
            while data := peer.recv(100):
                peer.sendall(data)
        except OSError:
            return


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, proxy.port), PATIENCE) as connected:
        connected.sendall(b"hello")
        assert connected.recv(100) == b"hello"
        yield connected


def test_a_frozen_network_delivers_later(proxy: Proxy, client: socket.socket) -> None:
    proxy.freeze()
    client.sendall(b"late")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(100)
    with socket.create_connection((HOST, proxy.port), PATIENCE) as other:  # is not refused
        other.sendall(b"too")
        proxy.thaw()
        assert other.recv(100) == b"too"
    client.settimeout(PATIENCE)
    assert client.recv(100) == b"late"


def test_a_cut_resets_connections_and_takes_new_ones(proxy: Proxy, client: socket.socket) -> None:
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with socket.create_connection((HOST, proxy.port), PATIENCE) as other:
        other.sendall(b"again")
        assert other.recv(100) == b"again"


def test_a_frozen_connection_can_be_cut(proxy: Proxy, client: socket.socket) -> None:
    proxy.freeze()
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_a_delay_holds_each_way(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay = 0.1
    with takes(at_least=0.2):
        client.sendall(b"slow")
        assert client.recv(100) == b"slow"
