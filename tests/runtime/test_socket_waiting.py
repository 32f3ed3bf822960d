"""How a wait on a socket ends: in time, too late, by a close elsewhere, or by an outer time limit."""

from __future__ import annotations

import errno
import os
import socket as stdlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron import socket

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket whose queue is full: a connect waits for an `accept`."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as queued:
        listening.bind(str(tmp_path / "full"))
        listening.listen(0)
        queued.connect(listening.getsockname())
        yield listening


def fill(connection: socket.socket) -> None:
    """Send until there is no room."""
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            connection.send(b"x" * 65536)
    connection.setblocking(True)


READS: list[Callable[[socket.socket], Any]] = [
    lambda s: s.recv(1),
    lambda s: s.recv_into(bytearray(1)),
    lambda s: s.recvfrom(1),
    lambda s: s.recvfrom_into(bytearray(1)),
    lambda s: s.recvmsg(1),
    lambda s: s.recvmsg_into([bytearray(1)]),
]
WRITES: list[Callable[[socket.socket], Any]] = [
    lambda s: s.send(b"x"),
    lambda s: s.sendall(b"x"),
    lambda s: s.sendmsg([b"x"]),
]
READ_NAMES = ["recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"]
WRITE_NAMES = ["send", "sendall", "sendmsg"]


# -- time-outs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", READS, ids=READ_NAMES)
def test_a_read_that_takes_too_long_times_out(pair: Pair, read: Callable[[socket.socket], Any]) -> None:
    pair[0].settimeout(0.01)
    began = time.monotonic()
    with pytest.raises(TimeoutError) as raised:
        read(pair[0])

    assert raised.value.args == ("timed out",)
    assert 0.009 < time.monotonic() - began < 1


@pytest.mark.parametrize("write", WRITES, ids=WRITE_NAMES)
def test_a_write_that_takes_too_long_times_out(pair: Pair, write: Callable[[socket.socket], Any]) -> None:
    fill(pair[0])
    pair[0].settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        write(pair[0])


def test_accept_times_out(listener: socket.socket) -> None:
    listener.settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        listener.accept()


def test_connect_times_out_and_connect_ex_returns_eagain(full: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as late:
        late.settimeout(0.02)
        with pytest.raises(TimeoutError, match="timed out"):
            late.connect(full.getsockname())
        assert late.connect_ex(full.getsockname()) == errno.EAGAIN


def test_a_connect_to_a_full_unix_queue_waits_for_its_turn(full: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as late:
        connecting = gcron.spawn(late.connect, full.getsockname())
        gcron.sleep(0.01)
        assert not connecting.ready()
        full.accept()[0].close()
        connecting.get()
        full.accept()[0].close()


def test_a_tcp_connect_times_out_when_nobody_answers() -> None:
    """A listener whose queue is full drops new connections: the client gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        clients = []
        try:
            for _ in range(10):
                clients.append(socket.socket())
                clients[-1].settimeout(0.05)
                clients[-1].connect(deaf.getsockname())
        except TimeoutError as error:
            assert error.args == ("timed out",)
        else:
            pytest.skip("this kernel drops no connection")
        finally:
            for client in clients:
                client.close()


def test_the_time_out_of_sendall_is_for_the_whole(pair: Pair) -> None:
    """Each single wait is short, because the reader takes a little now and then. Together they are too long."""
    near, far = pair
    near.settimeout(0.1)

    def drain() -> None:
        while True:
            gcron.sleep(0.02)
            far.recv(65536)

    draining = gcron.spawn(drain)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out"):
        near.sendall(b"x" * 50_000_000)
    elapsed = time.monotonic() - began
    draining.kill()

    assert 0.09 < elapsed < 1


def test_sendall_times_out_even_if_no_send_waits(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_octet_a_millisecond(self: socket.socket, data: Any, flags: int = 0) -> int:
        time.sleep(0.001)
        return 1

    monkeypatch.setattr(stdlib.socket, "send", one_octet_a_millisecond)
    pair[0].settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        pair[0].sendall(b"x" * 1000)


def test_data_that_came_in_time_counts_if_the_hub_is_late(pair: Pair) -> None:
    """Somebody used the processor until after the reader's time-out, but the data had come in time."""
    pair[0].settimeout(0.01)
    reader = gcron.spawn(pair[0].recv, 10)
    gcron.sleep(0)
    pair[1].send(b"in time")
    time.sleep(0.03)

    assert reader.get() == b"in time"


def test_an_outer_time_limit_passes_through(pair: Pair) -> None:
    pair[0].settimeout(5)
    limit = gcron.Timeout(0.01)
    with pytest.raises(gcron.Timeout) as raised, limit:
        pair[0].recv(1)

    assert raised.value is limit
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"


def test_a_killed_reader_takes_nothing(pair: Pair) -> None:
    reader = gcron.spawn(pair[0].recv, 1)
    gcron.sleep(0)
    pair[1].send(b"x")
    reader.kill()

    assert pair[0].recv(1) == b"x"


# -- closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", READS, ids=READ_NAMES)
@pytest.mark.parametrize("limit", [None, 5], ids=["without time-out", "with time-out"])
def test_closing_wakes_a_blocked_reader(pair: Pair, read: Callable[[socket.socket], Any], limit: float | None) -> None:
    pair[0].settimeout(limit)
    reader = gcron.spawn(read, pair[0])
    gcron.sleep(0.001)
    pair[0].close()

    with pytest.raises(OSError) as raised:  # noqa: PT011 - its number is looked at
        reader.get(timeout=1)
    assert raised.value.errno == errno.EBADF


@pytest.mark.parametrize("write", WRITES, ids=WRITE_NAMES)
def test_closing_wakes_a_blocked_writer(pair: Pair, write: Callable[[socket.socket], Any]) -> None:
    fill(pair[0])
    writer = gcron.spawn(write, pair[0])
    gcron.sleep(0.001)
    pair[0].close()

    with pytest.raises(OSError) as raised:  # noqa: PT011
        writer.get(timeout=1)
    assert raised.value.errno == errno.EBADF


def test_closing_wakes_everybody_who_waits(pair: Pair) -> None:
    fill(pair[0])
    waiting = [gcron.spawn(pair[0].recv, 1), gcron.spawn(pair[0].sendall, b"x")]
    gcron.sleep(0.001)
    pair[0].close()
    gcron.joinall(waiting, timeout=1)

    assert [getattr(greenlet.exception, "errno", None) for greenlet in waiting] == [errno.EBADF] * 2


@pytest.mark.parametrize("end", ["close", "with", "detach", "last file"])
def test_closing_a_listener_in_any_way_wakes_its_acceptor(listener: socket.socket, end: str) -> None:
    acceptor = gcron.spawn(listener.accept)
    gcron.sleep(0.001)
    if end == "close":
        listener.close()
    elif end == "with":
        with listener:
            pass
    elif end == "detach":
        os.close(listener.detach())
    else:
        file = listener.makefile()
        listener.close()
        gcron.sleep(0.001)
        assert not acceptor.ready(), "the file still holds it open"
        file.close()

    with pytest.raises(OSError) as raised:  # noqa: PT011
        acceptor.get(timeout=1)
    assert raised.value.errno == errno.EBADF


def test_closing_wakes_a_connect(full: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as late:
        connecting = gcron.spawn(late.connect_ex, full.getsockname())
        gcron.sleep(0.01)
        late.close()

        assert connecting.get(timeout=1) == errno.EBADF


def test_closing_wakes_a_tcp_connect() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        clients = [socket.socket() for _ in range(10)]
        connecting = [gcron.spawn(client.connect_ex, deaf.getsockname()) for client in clients]
        gcron.sleep(0.01)
        for client in clients:
            client.close()
        gcron.joinall(connecting, timeout=1)

    assert {greenlet.value for greenlet in connecting} <= {0, errno.EBADF}


def test_a_reused_number_of_a_closed_socket_is_another_socket(pair: Pair) -> None:
    reader = gcron.spawn(pair[0].recv, 1)
    gcron.sleep(0.001)
    number = pair[0].fileno()
    pair[0].close()
    one, other = socket.socketpair()
    with one, other:
        assert number in (one.fileno(), other.fileno())
        mine, far = (one, other) if one.fileno() == number else (other, one)
        newcomer = gcron.spawn(mine.recv, 1)
        gcron.sleep(0.001)
        far.send(b"x")

        assert newcomer.get(timeout=1) == b"x"
    assert isinstance(reader.exception, OSError)


def test_closing_a_duplicate_leaves_the_other_waiting(pair: Pair) -> None:
    twin = pair[0].dup()
    reader = gcron.spawn(pair[0].recv, 1)
    gcron.sleep(0.001)
    twin.close()
    gcron.sleep(0.001)
    assert not reader.ready()

    pair[1].send(b"x")
    assert reader.get(timeout=1) == b"x"


def test_a_timed_out_reader_is_not_woken_by_a_later_close(pair: Pair) -> None:
    """It timed out in the turn in which the socket was closed: the close must not raise in its next wait."""

    def read() -> str:
        with gcron.Timeout(0.01, False):
            pair[0].recv(1)
        gcron.sleep(0.01)
        return "went on"

    reader = gcron.spawn(read)
    gcron.sleep(0)
    gcron.get_hub().call_later(0.01, pair[0].close)
    time.sleep(0.02)

    assert reader.get(timeout=1) == "went on"


# -- not waiting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", READS, ids=READ_NAMES)
def test_a_non_blocking_read_raises_at_once(pair: Pair, read: Callable[[socket.socket], Any]) -> None:
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        read(pair[0])


@pytest.mark.parametrize("write", WRITES, ids=WRITE_NAMES)
def test_a_non_blocking_write_raises_at_once(pair: Pair, write: Callable[[socket.socket], Any]) -> None:
    fill(pair[0])
    pair[0].settimeout(0)
    with pytest.raises(BlockingIOError):
        write(pair[0])


def test_a_non_blocking_sendall_sends_what_it_can_and_raises(pair: Pair) -> None:
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[0].sendall(b"x" * 10_000_000)
    assert pair[1].recv(1) == b"x"


def test_non_blocking_accept_and_connect(listener: socket.socket, full: socket.socket) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    with socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
    with socket.socket(socket.AF_UNIX) as late:
        late.setblocking(False)
        with pytest.raises(BlockingIOError):
            late.connect(full.getsockname())


def test_msg_dontwait_does_not_wait(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        pair[0].recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)


def test_no_greenlet_runs_during_a_non_blocking_call(pair: Pair) -> None:
    ran = []
    gcron.spawn(ran.append, 1)
    pair[0].setblocking(False)
    pair[1].setblocking(False)
    for _ in range(200):
        pair[0].send(b"x")
        pair[1].recv(1)

    assert ran == []
