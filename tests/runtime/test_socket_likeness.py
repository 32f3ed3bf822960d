"""What `gcron.socket` shares with the standard library: names, time-outs, duplicates; and datagrams."""

from __future__ import annotations

import math
import os
import pickle
import socket as stdlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron import socket

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")

Pair = tuple[socket.socket, socket.socket]
OURS = {
    "create_connection",
    "create_server",
    "fromfd",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "socket",
    "socketpair",
}


def test_every_name_is_exported_and_only_what_blocks_is_ours() -> None:
    assert set(stdlib.__all__) <= set(socket.__all__)
    different = {name for name in stdlib.__all__ if getattr(socket, name) is not getattr(stdlib, name)}
    assert different == OURS
    assert socket.timeout is TimeoutError
    assert socket.error is OSError


def test_it_is_a_socket_of_the_standard_library(pair: Pair) -> None:
    one, other = pair
    assert isinstance(one, stdlib.socket)
    assert type(one) is type(other) is socket.socket
    assert repr(one).startswith(f"<gcron.socket.socket fd={one.fileno()}, family=1, type=1")
    assert (one.family, one.type) == (socket.AF_UNIX, socket.SOCK_STREAM)
    assert not os.get_blocking(one.fileno())
    assert not one.get_inheritable()
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(one)
    with pytest.raises(AttributeError):
        one.no_such_attribute = 1  # type: ignore[attr-defined]


def test_a_with_statement_closes_it() -> None:
    with socket.socket() as made:
        assert made.fileno() >= 0
    assert made.fileno() == -1
    assert "[closed]" in repr(made)
    made.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        made.recv(1)


def test_a_bad_family_is_an_error_and_leaks_nothing() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError):  # noqa: PT011 - its text depends on the platform
        socket.socket(999)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("value", [None, 0, 0.0, 1, 2.5, True, False])
def test_time_outs_read_back_as_in_the_standard_library(value: Any) -> None:
    with stdlib.socket() as theirs, socket.socket() as ours:
        for made in (theirs, ours):
            made.settimeout(value)
        assert ours.gettimeout() == theirs.gettimeout()
        assert ours.timeout == theirs.timeout
        assert ours.getblocking() == theirs.getblocking()
        assert type(ours.gettimeout()) is type(theirs.gettimeout())
        assert not os.get_blocking(ours.fileno())


@pytest.mark.parametrize("flag", [True, False, 1, 0])
def test_setblocking_reads_back_as_in_the_standard_library(flag: Any) -> None:
    with stdlib.socket() as theirs, socket.socket() as ours:
        for made in (theirs, ours):
            made.setblocking(flag)
        assert ours.gettimeout() == theirs.gettimeout()
        assert ours.getblocking() == theirs.getblocking()


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, math.inf, 1e300, "1", b"1", (), 1j])
def test_time_outs_that_make_no_sense_are_refused_with_the_same_error(value: Any) -> None:
    with stdlib.socket() as theirs, socket.socket() as ours:
        with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever it is
            theirs.settimeout(value)
        with pytest.raises(expected.type):
            ours.settimeout(value)
        assert ours.gettimeout() is None


def test_a_socket_begins_with_the_default_time_out() -> None:
    socket.setdefaulttimeout(3)
    try:
        with socket.socket() as made, socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as non_blocking:
            assert made.gettimeout() == 3
            assert non_blocking.gettimeout() == 0
        one, other = socket.socketpair()
        with one, other:
            assert one.gettimeout() == 3
    finally:
        socket.setdefaulttimeout(None)


def test_accept_gives_our_class_and_the_peers_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        with socket.create_connection(listening.getsockname()) as client:
            far, address = listening.accept()
            with far:
                assert type(far) is socket.socket
                assert address == client.getsockname()
                assert far.gettimeout() is None
                assert not os.get_blocking(far.fileno())


def test_duplicates_share_the_connection_and_keep_the_time_out(pair: Pair) -> None:
    pair[0].settimeout(2)
    with pair[0].dup() as twin:
        assert type(twin) is socket.socket
        assert twin.fileno() != pair[0].fileno()
        assert twin.gettimeout() == 2
        pair[1].sendall(b"ab")
        assert (pair[0].recv(1), twin.recv(1)) == (b"a", b"b")
        pair[0].close()
        pair[1].sendall(b"c")
        assert twin.recv(1) == b"c"


def test_fromfd_and_detach_and_fileno(pair: Pair) -> None:
    with socket.fromfd(pair[0].fileno(), pair[0].family, pair[0].type) as twin:
        assert type(twin) is socket.socket
        reader = gcron.spawn(twin.recv, 1)
        gcron.sleep(0)
        pair[1].send(b"x")
        assert reader.get() == b"x"
    with socket.socket(fileno=pair[0].detach()) as again:
        assert (again.family, again.type) == (socket.AF_UNIX, socket.SOCK_STREAM)
        pair[1].send(b"y")
        assert again.recv(1) == b"y"
    assert pair[0].fileno() == -1


def test_a_thread_without_a_hub_may_use_and_close_a_socket() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            one, other = socket.socketpair()
            one.sendall(b"x")
            assert other.recv(1) == b"x"
            other.settimeout(0.01)
            with pytest.raises(TimeoutError):
                other.recv(1)
            one.close()
            other.close()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


# -- datagrams --------------------------------------------------------------------------------------------------------


@pytest.fixture
def udp() -> Iterator[Pair]:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        yield one, other


def test_udp_datagrams_keep_their_bounds_and_sender(udp: Pair) -> None:
    one, other = udp
    reader = gcron.spawn(lambda: [other.recvfrom(100) for _ in range(3)])
    gcron.sleep(0)
    for data in (b"first", b"", b"third"):
        assert one.sendto(data, other.getsockname()) == len(data)

    assert reader.get() == [(data, one.getsockname()) for data in (b"first", b"", b"third")]


def test_udp_with_all_calls_that_send_and_receive(udp: Pair) -> None:
    one, other = udp
    one.sendto(b"name", 0, ("localhost", other.getsockname()[1]))
    one.sendmsg([b"mes", b"sage"], [], 0, other.getsockname())
    one.connect(other.getsockname())
    one.send(b"connected")
    one.sendall(b"")
    buffer = bytearray(20)

    assert other.recv(20) == b"name"
    assert other.recvmsg(20)[0] == b"message"
    assert other.recvfrom_into(buffer) == (9, one.getsockname())
    assert other.recv_into(buffer) == 0
    with pytest.raises(TypeError):
        one.sendto(b"no address")


def test_udp_receive_times_out(udp: Pair) -> None:
    udp[0].settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        udp[0].recvfrom(1)


def test_a_unix_datagram_waits_for_room_at_its_receiver_without_spinning(tmp_path: Path) -> None:
    """An unconnected datagram socket polls as writable while its receiver's queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to, socket.socket(to.family, to.type) as sender:
        to.bind(str(tmp_path / "to"))
        sender.settimeout(0)
        queued = 0
        with pytest.raises(BlockingIOError):
            while sender.sendto(b"x", to.getsockname()):
                queued += 1
        sender.settimeout(0.05)
        used = time.process_time()
        with pytest.raises(TimeoutError, match="timed out"):
            sender.sendto(b"x", to.getsockname())
        assert time.process_time() - used < 0.03

        sender.settimeout(None)
        late = gcron.spawn(sender.sendto, b"late", to.getsockname())
        gcron.sleep(0.01)
        assert not late.ready()
        received = [to.recv(10) for _ in range(queued + 1)]
        assert received[-1] == b"late"
        assert late.get() == 4
