"""Descriptors of others: `wait_read`, `wait_write`, `wait_readwrite` and `select`."""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket as stdlib_socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

import gcron
from gcron.select import error, select
from gcron.socket import wait_read, wait_readwrite, wait_write

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


class WithNumber:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


# -- waiting for one -----------------------------------------------------------------------------------------


def test_wait_read_returns_when_there_is_something(pipe: Pipe) -> None:
    reader = gcron.spawn(wait_read, pipe[0])
    gcron.sleep(0.001)
    assert not reader.ready()
    os.write(pipe[1], b"x")
    assert reader.get() is None
    wait_read(WithNumber(pipe[0]), timeout=5)
    assert os.get_blocking(pipe[0]), "it stays as it is"


def test_wait_write_and_wait_readwrite_return_when_there_is_room(pipe: Pipe) -> None:
    wait_write(pipe[1])
    wait_readwrite(pipe[1])
    os.set_blocking(pipe[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(65536))
    writer = gcron.spawn(wait_write, pipe[1])
    gcron.sleep(0.001)
    assert not writer.ready()
    os.read(pipe[0], 1 << 20)
    writer.get()


@pytest.mark.parametrize("wait", [wait_read, wait_readwrite])
def test_a_timeout_raises_the_given_error(wait: Any, pipe: Pipe) -> None:
    with pytest.raises(TimeoutError, match="timed out"):
        wait(pipe[0], timeout=0.001)
    with pytest.raises(KeyError, match="mine"):
        wait(pipe[0], timeout=0.001, timeout_exc=KeyError("mine"))
    with pytest.raises(KeyError):
        wait(pipe[0], 0.001, KeyError)


def test_others_run_while_a_pipe_of_multiprocessing_is_waited_for() -> None:
    """Its `recv` would stop the loop; with `wait_read` before it, it does not."""
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    child = context.Process(target=far.send, args=("hello",))
    ticks: list[int] = []
    ticker = gcron.spawn(lambda: [ticks.append(1) or gcron.sleep(0.001) for _ in range(5)])
    reader = gcron.spawn(lambda: [wait_read(near.fileno()), near.recv()][1])
    ticker.join()
    child.start()
    assert reader.get() == "hello"
    child.join()
    for end in (near, far):
        end.close()
    child.close()


# -- select --------------------------------------------------------------------------------------------------


def test_select_waits_for_the_first_that_is_ready(pipe: Pipe) -> None:
    other = WithNumber(pipe[0])
    gcron.spawn_later(0.001, os.write, pipe[1], b"x")
    assert select([pipe[0]], [], []) == ([pipe[0]], [], [])
    assert select([other, pipe[0]], [pipe[1]], [], 5) == ([other, pipe[0]], [pipe[1]], [])


def test_select_returns_empty_lists_after_its_timeout(pipe: Pipe) -> None:
    assert select([pipe[0]], [], [pipe[0]], 0.001) == ([], [], [])
    assert select([pipe[0]], [], [], 0) == ([], [], [])
    assert select([], [], [], 0.001) == ([], [], [])


def test_a_loop_of_selects_without_waiting_lets_others_run(pipe: Pipe) -> None:
    gcron.spawn(os.write, pipe[1], b"x")
    while not select([pipe[0]], [], [], 0)[0]:
        pass


def test_the_end_of_a_stream_can_be_read(pipe: Pipe) -> None:
    near, far = stdlib_socket.socketpair()
    with near:
        far.close()
        assert select([near], [near], [], 1) == ([near], [near], [])


def test_urgent_data_is_an_exceptional_condition() -> None:
    with stdlib_socket.create_server(("127.0.0.1", 0)) as listener:
        near = stdlib_socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    with near, far:
        far.send(b"!", stdlib_socket.MSG_OOB)
        wait_write(near)
        found: Any = ()
        while not any(found):
            found = select([], [], [near], 0)
        assert found == ([], [], [near])


def test_a_regular_file_is_always_ready() -> None:
    with tempfile.TemporaryFile() as file:
        assert select([file], [file], []) == ([file], [file], [])


def test_a_descriptor_above_1023_can_be_waited_for(pipe: Pipe) -> None:
    """`select` of the system has room for 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    try:
        high = 1500
        os.dup2(pipe[0], high)
        os.write(pipe[1], b"x")
        assert select([high], [], [], 5)[0] == [high]
        os.close(high)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_wrong_arguments_are_refused(pipe: Pipe) -> None:
    with pytest.raises(TypeError, match="got 'x'"):
        select(["x"], [], [], 0)
    with pytest.raises(ValueError, match="got -1"):
        select([], [-1], [], 0)
    with pytest.raises(ValueError, match="non-negative"):
        select([pipe[0]], [], [], -1)
    with pytest.raises(error, match="Bad file descriptor"):
        select([9999], [], [], 1)
    with pytest.raises(TypeError):
        wait_read("x")


def test_a_killed_select_leaves_no_watch_behind(pipe: Pipe) -> None:
    selecting = gcron.spawn(select, [pipe[0]], [], [])
    gcron.sleep(0.001)
    selecting.kill()
    assert not gcron.get_hub().io.has_referenced()
