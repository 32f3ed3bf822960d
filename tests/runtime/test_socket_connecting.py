"""Name lookups, connections and servers."""

from __future__ import annotations

import errno
import socket as stdlib
import threading
import time
from typing import Any

import pytest

import gcron
from gcron import socket
from gcron.runtime import dns, socket_makers

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")


@pytest.fixture
def nobody() -> tuple[str, int]:
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        name: tuple[str, int] = listening.getsockname()
    return name


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name service for the test, from names to IPv4 addresses. It fails the test outside of a thread."""
    book: dict[str, list[str]] = {}
    real = stdlib.getaddrinfo

    def look_up(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        if host not in book:
            return real(host, port, family, type, proto, flags)
        assert threading.current_thread() is not threading.main_thread()
        if not book[host]:
            raise stdlib.gaierror(stdlib.EAI_NONAME, "Name or service not known")
        return [entry for ip in book[host] for entry in real(ip, port, family, type, proto, flags)]

    monkeypatch.setattr(stdlib, "getaddrinfo", look_up)
    return book


def has_ipv6() -> bool:
    try:
        with stdlib.socket(stdlib.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")


# -- connect ----------------------------------------------------------------------------------------------------------


def test_a_refused_connection_raises_and_connect_ex_returns_its_number(nobody: tuple[str, int]) -> None:
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(nobody)
    with socket.socket() as client:
        assert client.connect_ex(nobody) == errno.ECONNREFUSED


def test_an_unreachable_address_is_the_standard_librarys_error() -> None:
    """A connection to 255.255.255.255 fails at once, with the same error."""
    with stdlib.socket() as theirs:
        expected = theirs.connect_ex(("255.255.255.255", 9))
    with socket.socket() as client:
        client.settimeout(1)
        assert client.connect_ex(("255.255.255.255", 9)) == expected != 0


def test_connect_ex_of_a_good_address_is_0_and_a_second_connect_is_refused(listener: socket.socket) -> None:
    with socket.socket() as client:
        assert client.connect_ex(listener.getsockname()) == 0
        assert client.connect_ex(listener.getsockname()) == errno.EISCONN


def test_two_greenlets_may_connect_one_socket_at_once(listener: socket.socket) -> None:
    with socket.socket() as client:
        both = [gcron.spawn(client.connect_ex, listener.getsockname()) for _ in range(2)]
        assert [greenlet.get() for greenlet in both] == [0, 0]


def test_others_run_while_one_connects(listener: socket.socket) -> None:
    clients = [gcron.spawn(socket.create_connection, listener.getsockname()) for _ in range(20)]
    for _ in clients:
        listener.accept()[0].close()
    for client in clients:
        client.get().close()


def test_a_name_is_looked_up_in_a_thread_when_connecting(listener: socket.socket, names: dict[str, list[str]]) -> None:
    names["somewhere.test"] = ["127.0.0.1"]
    port = listener.getsockname()[1]
    with socket.socket() as client:
        client.connect(("somewhere.test", port))
        assert client.getpeername() == ("127.0.0.1", port)
    with socket.socket() as client:
        assert client.connect_ex(("somewhere.test", port)) == 0
    with socket.socket() as bound:
        bound.bind(("somewhere.test", 0))
        assert bound.getsockname()[0] == "127.0.0.1"


def test_an_unknown_name_is_a_gaierror_also_for_connect_ex(names: dict[str, list[str]]) -> None:
    names["nowhere.test"] = []
    with socket.socket() as client:
        for connect in (client.connect, client.connect_ex):
            with pytest.raises(socket.gaierror, match="not known"):
                connect(("nowhere.test", 80))


@pytest.mark.parametrize("address", [("127.0.0.1",), "127.0.0.1", (None, 80), ("127.0.0.1", "http"), (1, 2, 3)])
def test_a_malformed_address_is_the_standard_librarys_error(address: Any) -> None:
    with stdlib.socket() as theirs, pytest.raises(Exception) as expected:  # noqa: PT011 - whatever it is
        theirs.connect(address)
    with socket.socket() as client, pytest.raises(expected.type):
        client.connect(address)


# -- create_connection ------------------------------------------------------------------------------------------------


def test_create_connection_tries_the_next_address(names: dict[str, list[str]]) -> None:
    """127.0.0.2 refuses, 127.0.0.1 answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        names["several.test"] = ["127.0.0.2", "127.0.0.1"]
        with socket.create_connection(("several.test", listening.getsockname()[1]), timeout=5) as client:
            assert isinstance(client, socket.socket)
            assert client.getpeername()[0] == "127.0.0.1"
            assert client.gettimeout() == 5


def test_create_connection_raises_the_last_error_or_all(nobody: tuple[str, int], names: dict[str, list[str]]) -> None:
    names["several.test"] = ["127.0.0.2", "127.0.0.1"]
    address = ("several.test", nobody[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with pytest.raises(ExceptionGroup) as raised:
        socket.create_connection(address, all_errors=True)
    assert [type(error) for error in raised.value.exceptions] == [ConnectionRefusedError] * 2


def test_create_connection_without_any_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "getaddrinfo", lambda *args: [])
    with pytest.raises(OSError, match="empty list"):
        socket.create_connection(("127.0.0.1", 1))


def test_create_connection_binds_to_its_source_address(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname(), source_address=("127.0.0.1", 0)) as client:
        assert client.gettimeout() is None
        far, address = listener.accept()
        with far:
            assert address == client.getsockname()


def test_create_connection_has_the_default_time_out(listener: socket.socket) -> None:
    socket.setdefaulttimeout(7)
    try:
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as far:
            assert (client.gettimeout(), far.gettimeout()) == (7, 7)
    finally:
        socket.setdefaulttimeout(None)


def test_a_time_limit_during_create_connection_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Slow(socket.socket):
        def connect(self, address: Any, /) -> None:
            made.append(self)
            gcron.sleep(5)

    monkeypatch.setattr(socket_makers, "socket", Slow)
    with gcron.Timeout(0.01, False):
        socket.create_connection(("127.0.0.1", 1))

    assert [connection.fileno() for connection in made] == [-1]


# -- create_server ----------------------------------------------------------------------------------------------------


def test_create_server_listens_and_may_share_its_port(listener: socket.socket) -> None:
    assert isinstance(listener, socket.socket)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    with (
        socket.create_server(("localhost", 0), reuse_port=True) as one,
        socket.create_server(one.getsockname(), reuse_port=True, backlog=5) as other,
    ):
        assert one.getsockname() == other.getsockname()


def test_create_server_looks_its_host_up_in_a_thread(names: dict[str, list[str]]) -> None:
    names["here.test"] = ["127.0.0.1"]
    with socket.create_server(("here.test", 0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_create_server_says_which_address_is_taken(listener: socket.socket) -> None:
    with pytest.raises(OSError, match="while attempting to bind on address"):
        socket.create_server(listener.getsockname())


@needs_ipv6
@pytest.mark.skipif(not stdlib.has_dualstack_ipv6(), reason="no dual stack on this machine")
def test_create_server_serves_both_families() -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port)) as client, listening.accept()[0] as far:
                client.sendall(b"x")
                assert far.recv(1) == b"x"


@needs_ipv6
def test_create_server_of_one_family_serves_no_other() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        assert listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    with pytest.raises(ValueError, match="AF_INET6"):
        socket.create_server(("", 0), dualstack_ipv6=True)


# -- lookups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("getaddrinfo", ("slow.test", 80, 0, 0, 0, 0)),
        ("gethostbyname", ("slow.test",)),
        ("gethostbyname_ex", ("slow.test",)),
        ("gethostbyaddr", ("127.0.0.1",)),
        ("getnameinfo", (("127.0.0.1", 80), 0)),
        ("getfqdn", ("slow.test",)),
    ],
)
def test_others_run_during_a_slow_lookup(
    monkeypatch: pytest.MonkeyPatch, function: str, arguments: tuple[Any, ...]
) -> None:
    asked = []

    def slow(*given: Any) -> list[str]:
        asked.append((threading.current_thread() is threading.main_thread(), given))
        time.sleep(0.05)
        return ["the answer"]

    monkeypatch.setattr(stdlib, function, slow)
    looking_up = gcron.spawn(getattr(socket, function), *arguments)
    ticks = 0
    while not looking_up.ready():
        gcron.sleep(0.001)
        ticks += 1

    assert looking_up.get() == ["the answer"]
    assert asked == [(False, arguments)]
    assert ticks >= 5


def test_an_error_of_a_lookup_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise stdlib.herror(1, "Unknown host")

    monkeypatch.setattr(stdlib, "gethostbyaddr", fail)
    with pytest.raises(socket.herror, match="Unknown host"):
        socket.gethostbyaddr("192.0.2.1")


def test_a_caller_can_time_out_during_a_slow_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "getaddrinfo", lambda *args: time.sleep(0.2))
    began = time.monotonic()
    with gcron.Timeout(0.01, False):
        socket.create_connection(("slow.test", 80))

    assert time.monotonic() - began < 0.15


@pytest.mark.parametrize(
    ("host", "port", "flags"),
    [
        ("127.0.0.1", 80, 0),
        ("127.0.0.1", "80", 0),
        (b"127.0.0.1", None, 0),
        ("::1", 80, 0),
        (None, 80, socket.AI_PASSIVE),
        ("127.1", 80, socket.AI_NUMERICHOST),
    ],
)
def test_numeric_addresses_need_no_thread(monkeypatch: pytest.MonkeyPatch, host: Any, port: Any, flags: int) -> None:
    expected = stdlib.getaddrinfo(host, port, flags=flags)
    monkeypatch.setattr(dns, "get_hub", lambda: pytest.fail("no thread is needed"))

    assert socket.getaddrinfo(host, port, flags=flags) == expected


@pytest.mark.parametrize(("host", "port"), [("localhost", 80), ("127.0.0.1", "http"), ("127.1", 80), ("", 80)])
def test_lookups_that_may_ask_a_server_use_a_thread(monkeypatch: pytest.MonkeyPatch, host: str, port: Any) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(dns, "_in_thread", lambda function, *args: asked.append(args) or [])
    socket.getaddrinfo(host, port)

    assert asked[0][:2] == (host, port)


def test_numeric_getnameinfo_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "get_hub", lambda: pytest.fail("no thread is needed"))

    assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert socket.getnameinfo(("127.0.0.1", 80), flags) == ("127.0.0.1", "80")


def test_real_lookups_agree_with_the_standard_library() -> None:
    assert socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM) == stdlib.getaddrinfo(
        "localhost", 80, type=socket.SOCK_STREAM
    )
    assert socket.gethostbyname("localhost") == stdlib.gethostbyname("localhost")
    assert socket.gethostbyname_ex("localhost") == stdlib.gethostbyname_ex("localhost")
    for bad in [(None, None), ("127.0.0.1", 1.5), ("127.0.0.1", -1), (3, 80)]:
        with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever it is
            stdlib.getaddrinfo(*bad)  # type: ignore[arg-type]
        with pytest.raises(expected.type):
            socket.getaddrinfo(*bad)  # type: ignore[arg-type]


def test_an_ipv6_name_brings_its_scope_unless_the_address_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(stdlib.AF_INET6, stdlib.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 3))]
    monkeypatch.setattr(stdlib, "getaddrinfo", lambda *args: found)

    assert dns.resolve(("fe80::1%eth0", 80), socket.AF_INET6) == ("fe80::1", 80, 0, 3)
    assert dns.resolve(("fe80::1%eth0", 80, 1, 2), socket.AF_INET6) == ("fe80::1", 80, 1, 2)
    assert dns.resolve(("::1", 80, 1, 2), socket.AF_INET6) == ("::1", 80, 1, 2)
