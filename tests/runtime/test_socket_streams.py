"""Stream sockets: what is sent arrives, and others run meanwhile."""

from __future__ import annotations

import array
import http.client
import http.server
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron import socket
from gcron.exceptions import ConcurrentObjectUseError

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def tcp(listener: socket.socket) -> Iterator[Pair]:
    with socket.create_connection(listener.getsockname()) as near, listener.accept()[0] as far:
        yield near, far


def echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def receive(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count > 0 and (part := connection.recv(min(count, 65536))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def test_many_clients_are_echoed_while_a_ticker_goes_on(listener: socket.socket) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gcron.sleep(0.001)

    def serve() -> None:
        while True:
            gcron.spawn(echo, listener.accept()[0])

    def client(number: int) -> bytes:
        with socket.create_connection(listener.getsockname()) as connection:
            for turn in range(20):
                message = f"{number}:{turn}".encode()
                connection.sendall(message)
                assert receive(connection, len(message)) == message
                gcron.sleep(0.001)
        return message

    background = [gcron.spawn(tick), gcron.spawn(serve)]
    clients = [gcron.spawn(client, number) for number in range(100)]
    gcron.joinall(clients, raise_error=True)
    gcron.killall(background)

    assert [client.get() for client in clients] == [f"{number}:19".encode() for number in range(100)]
    assert ticks >= 20


def test_a_peer_that_is_always_ready_does_not_starve_the_others(pair: Pair) -> None:
    near, far = pair
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            gcron.sleep(0)

    background = gcron.spawn(other)
    for _ in range(1000):
        near.send(b"x")
        far.recv(1)
    background.kill()

    assert turns >= 10


def test_a_flood_of_connections_does_not_starve_their_handlers() -> None:
    handled = 0

    def handle(connection: socket.socket) -> None:
        nonlocal handled
        connection.close()
        handled += 1

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(100)]
        for _ in clients:
            gcron.spawn(handle, listener.accept()[0])
        assert handled >= 50
        gcron.sleep(0.01)
        for client in clients:
            client.close()


def test_a_unix_socket_has_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(path)
        listening.listen()
        server = gcron.spawn(lambda: echo(listening.accept()[0]))
        client.connect(path)
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        client.shutdown(socket.SHUT_WR)
        server.get()


def test_ten_megabytes_arrive_whole(tcp: Pair) -> None:
    near, far = tcp
    data = os.urandom(1 << 20) * 10
    sender = gcron.spawn(near.sendall, data)

    assert receive(far, len(data)) == data
    assert sender.get() is None


@pytest.mark.parametrize(
    "data",
    [b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), array.array("i", [1, 2, 3]), array.array("i")],
    ids=["empty", "bytes", "bytearray", "memoryview", "array", "empty array"],
)
def test_sendall_takes_bytes_like_objects(pair: Pair, data: Any) -> None:
    pair[0].sendall(data)
    pair[0].close()

    assert receive(pair[1], 100) == bytes(data)


def test_sendall_of_wide_items_in_many_parts(pair: Pair) -> None:
    data = array.array("q", range(500_000))
    sender = gcron.spawn(pair[0].sendall, data)

    assert receive(pair[1], data.itemsize * len(data)) == data.tobytes()
    sender.get()


def test_sendall_refuses_text(pair: Pair) -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        pair[0].sendall("text")


def test_one_greenlet_reads_while_another_writes_the_same_socket(tcp: Pair) -> None:
    near, far = tcp
    data = b"x" * 3_000_000
    echoing = gcron.spawn(echo, far.dup())
    writer = gcron.spawn(near.sendall, data)

    assert receive(near, len(data)) == data
    writer.get()
    near.shutdown(socket.SHUT_WR)
    echoing.get()


def test_a_second_reader_or_writer_that_would_wait_is_refused(pair: Pair) -> None:
    """Two readers of one stream get random parts of it. Both waited, without an error."""
    near, far = pair
    first, second = gcron.spawn(near.recv, 1), gcron.spawn(near.recv, 1)
    with pytest.raises(ConcurrentObjectUseError):
        second.get()
    far.sendall(b"ab")
    assert first.get() == b"a"
    assert near.recv(1) == b"b", "the socket is as good as before"

    filling, writer = gcron.spawn(near.sendall, bytes(1 << 22)), gcron.spawn(near.send, b"x")
    with pytest.raises(ConcurrentObjectUseError):
        writer.get()
    reader = gcron.spawn(near.recv, 1)
    receive(far, 1 << 22)
    filling.get()
    far.sendall(b"c")
    assert reader.get() == b"c", "one that reads beside one that writes is fine"


def test_one_direction_can_be_closed_while_the_other_goes_on(tcp: Pair) -> None:
    near, far = tcp
    reader = gcron.spawn(receive, far, 100)
    near.sendall(b"question")
    near.shutdown(socket.SHUT_WR)

    assert reader.get() == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"


def test_shutdown_ends_ones_own_blocked_read(tcp: Pair) -> None:
    reader = gcron.spawn(tcp[0].recv, 1)
    gcron.sleep(0.001)
    tcp[0].shutdown(socket.SHUT_RDWR)

    assert reader.get() == b""


def test_shutdown_of_a_listener_ends_its_accept(listener: socket.socket) -> None:
    acceptor = gcron.spawn(listener.accept)
    gcron.sleep(0.001)
    listener.shutdown(socket.SHUT_RDWR)

    with pytest.raises(OSError, match="Invalid argument"):
        acceptor.get()


def test_a_peer_that_is_gone_breaks_the_pipe(pair: Pair) -> None:
    writer = gcron.spawn(pair[0].sendall, b"x" * 10_000_000)
    gcron.sleep(0.001)
    pair[1].close()

    with pytest.raises(ConnectionError):
        writer.get()


def test_recv_into_and_similar_calls_fill_buffers(pair: Pair) -> None:
    near, far = pair
    buffer = bytearray(10)
    reader = gcron.spawn(near.recv_into, buffer, 3)
    gcron.sleep(0)
    far.sendall(b"abcdefgh")

    assert (reader.get(), bytes(buffer[:4])) == (3, b"abc\0")
    assert near.recvfrom_into(buffer, nbytes=2)[0] == 2
    assert bytes(buffer[:2]) == b"de"
    first, second = bytearray(1), bytearray(5)
    assert near.recvmsg_into(iter([first, second]))[0] == 3
    assert bytes(first + second) == b"fgh\0\0\0"


def test_iterators_of_buffers_survive_a_wait(pair: Pair) -> None:
    """An iterator can be used for one try only, and a call that waits makes two."""
    near, far = pair
    first, second = bytearray(1), bytearray(5)
    reader = gcron.spawn(near.recvmsg_into, iter([first, second]))
    gcron.sleep(0.001)
    far.sendall(b"abc")
    assert reader.get()[0] == 3
    assert bytes(first + second) == b"abc\0\0\0"

    near.setblocking(False)
    size = 0
    with pytest.raises(BlockingIOError):
        while True:
            size += near.send(bytes(65536))
    near.setblocking(True)
    writer = gcron.spawn(near.sendmsg, iter([b"de", b"f"]))
    gcron.sleep(0.001)
    received = receive(far, size + 3)
    assert writer.get() == 3
    assert received.endswith(b"def")


def test_a_descriptor_travels_as_ancillary_data(pair: Pair, tmp_path: Path) -> None:
    near, far = pair
    (tmp_path / "file").write_text("content")
    receiver = gcron.spawn(socket.recv_fds, far, 10, 1)
    gcron.sleep(0)
    with (tmp_path / "file").open() as file:
        near.sendmsg(iter([b"a", b"b"]), [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])

    data, (fd,), _, _ = receiver.get()
    with os.fdopen(fd) as received:
        assert (data, received.read()) == (b"ab", "content")


def test_sendfile_sends_a_file_and_moves_its_position(tcp: Pair, tmp_path: Path) -> None:
    near, far = tcp
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        reader = gcron.spawn(receive, far, len(content) - 5)
        assert near.sendfile(file, offset=5) == len(content) - 5
        assert file.tell() == len(content)
        assert reader.get() == content[5:]
        assert near.sendfile(file, offset=0, count=4) == 4
        assert (receive(far, 4), file.tell()) == (content[:4], 4)


def test_sendfile_reads_what_is_no_regular_file(tcp: Pair, tmp_path: Path) -> None:
    near, far = tcp
    assert near.sendfile(io.BytesIO(b"0123456789"), offset=2, count=5) == 5
    assert receive(far, 5) == b"23456"


# -- makefile ---------------------------------------------------------------------------------------------------------


def test_files_of_a_socket_read_and_write_text(pair: Pair) -> None:
    with pair[0].makefile("w", encoding="utf-8") as out, pair[1].makefile("r", encoding="utf-8", newline="\n") as lines:
        reader = gcron.spawn(lambda: (lines.readline(), lines.readline(), lines.read()))
        gcron.sleep(0)
        out.write("één\n")
        out.flush()
        gcron.sleep(0.001)
        out.write("two\nthree\nfour")
        out.close()
        pair[0].close()

        assert reader.get() == ("één\n", "two\n", "three\nfour")


def test_files_of_a_socket_read_and_write_bytes(pair: Pair) -> None:
    data = os.urandom(500_000)
    with pair[0].makefile("rwb") as near, pair[1].makefile("rwb", buffering=100) as far:

        def answer() -> None:
            far.write(far.read(len(data))[::-1])
            far.flush()

        answering = gcron.spawn(answer)
        near.write(data)
        near.flush()
        assert near.read(len(data)) == data[::-1]
        answering.get()


def test_an_unbuffered_file_gives_what_is_there(pair: Pair) -> None:
    with pair[0].makefile("rb", buffering=0) as raw:
        reader = gcron.spawn(raw.read, 100)
        gcron.sleep(0)
        pair[1].sendall(b"abc")
        assert reader.get() == b"abc"


def test_the_descriptor_stays_open_until_the_last_file_is_closed(pair: Pair) -> None:
    near, far = pair
    file = near.makefile("rb")
    near.close()
    assert near.fileno() >= 0

    far.sendall(b"still read\n")
    assert file.readline() == b"still read\n"
    file.close()
    assert near.fileno() == -1
    assert file.closed
    with pytest.raises(BrokenPipeError):
        far.sendall(b"x")


def test_a_file_is_unusable_after_a_time_out_as_in_the_standard_library(pair: Pair) -> None:
    pair[0].settimeout(0.001)
    with pair[0].makefile("rb") as file:
        with pytest.raises(TimeoutError, match="timed out"):
            file.readline()
        with pytest.raises(OSError, match="cannot read from timed out object"):
            file.readline()


# -- many at once ------------------------------------------------------------------------------------------------------


class _Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.05)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 20  # with the default of 5 some clients would have to knock again after a second


def test_http_client_works_on_it_against_a_server_in_a_thread() -> None:
    with _Server(("127.0.0.1", 0), _Hello) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def post(body: bytes) -> tuple[bytes, bytes]:
            connection = http.client.HTTPConnection(*server.server_address[:2])
            connection._create_connection = socket.create_connection  # type: ignore[attr-defined]
            answers = []
            for _ in range(2):
                connection.request("POST", "/", body)
                assert isinstance(connection.sock, socket.socket)
                answers.append(connection.getresponse().read())
            connection.close()
            return answers[0], answers[1]

        began = time.monotonic()
        clients = [gcron.spawn(post, os.urandom(2) * 100_000) for _ in range(10)]
        gcron.joinall(clients, raise_error=True)
        elapsed = time.monotonic() - began
        server.shutdown()
        thread.join()

    assert all(len(answer) == 200_000 for client in clients for answer in client.get())
    assert elapsed < 0.9, "one after the other they take a second"


@settings(max_examples=50)
@given(chunks=st.lists(st.binary(max_size=20_000), max_size=20), sizes=st.lists(st.integers(1, 50_000), min_size=1))
def test_data_arrives_unchanged_however_it_is_cut(chunks: list[bytes], sizes: list[int]) -> None:
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def send() -> None:
        with near:
            for chunk in chunks:
                near.sendall(chunk)

    sender = gcron.spawn(send)
    received = []
    with far:
        while part := far.recv(sizes[len(received) % len(sizes)]):
            received.append(part)
    sender.get()

    assert b"".join(received) == b"".join(chunks)
