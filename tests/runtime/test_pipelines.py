"""What a child gets as stdin, stdout or stderr blocks for the child, and stays as it was for us.

Our pipes and sockets are non-blocking, and a child shares that. `cat` in the middle of a pipeline said
"Resource temporarily unavailable", and `head` wrote 65,536 bytes and gave up.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import gcron
from gcron import socket
from gcron.runtime import pipes
from gcron.subprocess import PIPE, Popen, run

pytestmark = pytest.mark.usefixtures("no_descriptor_leaks", "bounded")


@pytest.fixture(params=["/proc", "no /proc"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the kernel's way to open a pipe anew, and again without."""
    if request.param == "no /proc":
        monkeypatch.setattr("gcron.runtime.subprocess.blocking_twin", lambda fd: None)
    return str(request.param)


def test_three_commands_in_a_row(system: str) -> None:
    first = Popen(["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.02; done"], stdout=PIPE)
    second = Popen(["cat"], stdin=first.stdout, stdout=PIPE)
    third = Popen(["tr", "a-z", "A-Z"], stdin=second.stdout, stdout=PIPE, text=True)
    first.stdout.close()
    second.stdout.close()
    assert third.communicate() == ("LINE 1\nLINE 2\nLINE 3\n", None)
    third.stdout.close()
    assert [process.wait() for process in (first, second, third)] == [0, 0, 0]


def test_the_stdin_of_one_as_the_stdout_of_another(system: str) -> None:
    counting = Popen(["wc", "-c"], stdin=PIPE, stdout=PIPE)
    writing = Popen(["head", "-c", "1000000", "/dev/zero"], stdout=counting.stdin)
    counting.stdin.close()
    assert int(counting.communicate()[0]) == 1_000_000
    assert (writing.wait(), counting.wait()) == (0, 0)


def test_a_pipe_by_its_number(system: str) -> None:
    with Popen(["sh", "-c", "sleep 0.02; echo x"], stdout=PIPE) as first:
        assert run(["cat"], stdin=first.stdout.fileno(), stdout=PIPE).stdout == b"x\n"


@pytest.mark.parametrize("way", ["stdin", "stdout", "stderr"])
def test_a_socket(way: str) -> None:
    near, far = socket.socketpair()
    with near:
        with far:
            if way == "stdin":
                process = Popen(["sh", "-c", "exec cat | wc -c"], stdin=far, stdout=PIPE)
            elif way == "stdout":
                process = Popen(["head", "-c", "3000000", "/dev/zero"], stdout=far)
            else:
                process = Popen(["sh", "-c", "head -c 3000000 /dev/zero >&2"], stderr=far)
        if way == "stdin":
            gcron.sleep(0.02)  # it reads before there is anything
            near.sendall(bytes(3_000_000))
            near.shutdown(socket.SHUT_WR)
            assert int(process.communicate()[0]) == 3_000_000
        else:
            received = 0
            while data := near.recv(65536):
                received += len(data)
                gcron.sleep(0)  # it writes until there is no room
            assert received == 3_000_000
        assert process.wait() == 0


def test_a_socket_that_is_shared_with_a_child_does_not_block_us(pair: Any) -> None:
    """It is one open file: if it blocks for the child, it blocks for us, too. Our transfers do not rely on that."""
    near, far = pair
    with Popen(["sh", "-c", "read line; sleep 60"], stdin=near, stdout=near) as process:
        assert os.get_blocking(near.fileno())
        ticks: list[int] = []
        ticker = gcron.spawn(lambda: [ticks.append(gcron.sleep(0.001) or 1) for _ in range(5)])
        reader = gcron.spawn(near.recv, 10)
        gcron.sleep(0)
        filling = gcron.spawn(near.sendall, bytes(1 << 22))
        ticker.join()
        assert len(ticks) == 5, "the loop stood still"
        far.sendall(b"\nxyz")
        assert reader.get() in (b"\nxyz", b"xyz", b"\n")
        filling.kill()
        process.kill()


def test_the_parents_end_stays_non_blocking() -> None:
    with Popen(["sh", "-c", "sleep 0.05; echo one; sleep 0.05; echo two"], stdout=PIPE) as first:
        with Popen(["head", "-n", "1"], stdin=first.stdout, stdout=PIPE) as second:
            assert not os.get_blocking(first.stdout.fileno())
            assert second.communicate()[0] == b"one\n"
        assert first.stdout.read() == b"two\n", "what the child left is ours to read"


def test_a_named_pipe_is_opened_anew_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fd = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        twin = pipes.blocking_twin(fd)
        assert twin is not None
        assert (os.get_blocking(twin), os.get_blocking(fd)) == (True, False)
        os.close(twin)
    finally:
        os.close(fd)


def test_objects_without_descriptor_are_refused_as_in_the_standard_library() -> None:
    with pytest.raises(AttributeError):
        Popen(["true"], stdin="x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        Popen(["true"], stdin=999)
