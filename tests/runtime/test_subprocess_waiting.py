"""`gcron.subprocess`: waits that are killed, timed out, shared, in other threads, or whose pipe is closed."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest

import gcron
from gcron.subprocess import PIPE, UNKNOWN_STATUS, Popen, TimeoutExpired, call, check_output, run

pytestmark = pytest.mark.usefixtures("told_by", "no_descriptor_leaks")

FULL = b"x" * 1_000_000


@pytest.fixture
def sleeper() -> Iterator[Popen]:
    """A child that does not read, write or end."""
    with Popen(["sleep", "100"], stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0) as process:
        yield process
        process.kill()


WAITS: dict[str, Callable[[Popen], Any]] = {
    "wait": lambda process: process.wait(),
    "wait with a timeout": lambda process: process.wait(50),
    "communicate": lambda process: process.communicate(),
    "communicate with input": lambda process: process.communicate(FULL),
    "communicate with a timeout": lambda process: process.communicate(timeout=50),
    "read": lambda process: process.stdout.read(),
    "readline": lambda process: process.stdout.readline(),
    "iteration": lambda process: list(process.stdout),
    "write": lambda process: [process.stdin.write(FULL) for _ in range(3)],
    "gcron.wait": lambda process: gcron.wait([process]),
}
each_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())


@each_wait
def test_a_killed_wait_leaves_a_child_that_can_be_waited_for(wait: Callable[[Popen], Any], sleeper: Popen) -> None:
    waiting = gcron.spawn(wait, sleeper)
    gcron.sleep(0.01)
    assert not waiting.dead
    waiting.kill(timeout=5)
    assert isinstance(waiting.value, gcron.GreenletExit)

    sleeper.kill()
    assert sleeper.wait(10) == -signal.SIGKILL
    assert sleeper.communicate(timeout=10) == (b"", b"")


@each_wait
def test_a_foreign_timeout_goes_through(wait: Callable[[Popen], Any], sleeper: Popen) -> None:
    limit = gcron.Timeout(0.01)
    with pytest.raises(gcron.Timeout) as caught, limit:
        wait(sleeper)
    assert caught.value is limit

    sleeper.kill()
    assert sleeper.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("function", [run, call, check_output])
def test_a_run_that_is_killed_kills_and_collects_its_child(function: Callable[..., Any]) -> None:
    before = psutil.Process().children()  # servers of other tests
    running = gcron.spawn(function, ["sleep", "98.76"])
    gcron.sleep(0.02)
    running.kill(timeout=5)
    assert running.dead
    assert psutil.Process().children() == before


def test_a_killed_communicate_loses_nothing_that_it_read() -> None:
    with Popen("echo one; sleep 0.2; echo two", shell=True, stdout=PIPE) as process:
        talking = gcron.spawn(process.communicate)
        gcron.sleep(0.05)
        talking.kill(timeout=5)
        assert talking.dead
        assert process.communicate()[0] == b"one\ntwo\n"


@pytest.mark.parametrize(("bufsize", "text"), [(-1, False), (0, False), (-1, True)])
def test_closing_a_pipe_wakes_its_reader(bufsize: int, text: bool) -> None:
    """Regression: the reader held the buffer's lock, and closing raised `RuntimeError: reentrant call`."""
    with Popen(["sleep", "100"], stdout=PIPE, bufsize=bufsize, text=text) as process:
        reading = gcron.spawn(process.stdout.readline)
        gcron.sleep(0.01)
        process.stdout.close()
        with pytest.raises(OSError, match="closed") as caught:
            reading.get(timeout=5)
        assert caught.value.errno == errno.EBADF
        process.kill()


@pytest.mark.parametrize("bufsize", [-1, 0])
def test_closing_a_pipe_wakes_its_writer(bufsize: int) -> None:
    with Popen(["sleep", "100"], stdin=PIPE, bufsize=bufsize) as process:
        writing = gcron.spawn(lambda: [process.stdin.write(FULL) for _ in range(3)])
        gcron.sleep(0.01)
        with suppress(RuntimeError):
            process.stdin.close()
        with pytest.raises((OSError, ValueError)):
            writing.get(timeout=5)
        assert process.stdin.closed
        process.kill()


def test_leaving_the_with_block_wakes_a_reader_elsewhere() -> None:
    with Popen("sleep 0.1", shell=True, stdout=PIPE) as process:
        reading = gcron.spawn(process.stdout.read)
        gcron.sleep(0.01)
    with pytest.raises(OSError, match="closed"):
        reading.get(timeout=5)


def test_what_earlier_reads_left_in_the_buffer_is_part_of_the_output() -> None:
    with Popen("printf 'one\\ntwo\\n'; sleep 0.05; echo three", shell=True, stdout=PIPE) as process:
        assert process.stdout.readline() == b"one\n"
        assert process.communicate() == (b"two\nthree\n", None)


def test_output_without_end_lets_others_run_and_timeouts_fire() -> None:
    """Regression: a child that writes as fast as it is read never let its reader park."""
    with Popen(["cat", "/dev/zero"], stdout=PIPE) as process:
        beside = gcron.spawn_later(0.01, process.kill)
        while process.stdout.read(65536):
            pass
        assert beside.ready()
    with pytest.raises(TimeoutExpired) as caught:
        run(["cat", "/dev/zero"], stdout=PIPE, timeout=0.05)
    assert caught.value.output


def test_an_abandoned_wait_is_no_work_left() -> None:
    with Popen(["sleep", "100"]) as process:
        with pytest.raises(TimeoutExpired):
            process.wait(0.01)
        assert gcron.wait(timeout=5) is True
        process.kill()


def test_links_are_called_once_and_unlinked_ones_never() -> None:
    seen: list[Any] = []
    forgotten: list[Any] = []
    process = Popen(["sleep", "0.05"])
    process.rawlink(seen.append)
    process.rawlink(forgotten.append)
    process.unlink(forgotten.append)
    assert process.wait(10) == 0
    gcron.sleep(0.01)
    process.rawlink(seen.append)  # also when it has ended already
    gcron.sleep(0.01)
    assert (seen, forgotten) == ([process, process], [])
    with pytest.raises(TypeError):
        process.rawlink(None)  # type: ignore[arg-type]


def test_processes_are_waited_for_in_the_order_they_end() -> None:
    slow, quick = Popen(["sleep", "0.3"]), Popen(["sleep", "0.01"])
    assert list(gcron.iwait([slow, quick], timeout=10)) == [quick, slow]
    assert gcron.joinall([slow, quick], timeout=1) == [slow, quick]


def test_waiters_in_several_threads_all_learn_of_the_exit() -> None:
    """Regression: the thread that learnt of the exit woke greenlets of other threads in its own loop, or not at all."""
    for _ in range(10):
        process = Popen(["sleep", "0.05"])
        with ThreadPoolExecutor(4) as threads:
            waiting = [threads.submit(process.wait, 10) for _ in range(4)]
            assert process.wait(10) == 0
            assert [wait.result(timeout=10) for wait in waiting] == [0] * 4


def test_a_process_made_in_one_thread_is_used_in_another() -> None:
    with ThreadPoolExecutor(1) as thread:
        process = thread.submit(Popen, ["cat"], stdin=PIPE, stdout=PIPE).result(timeout=10)
    assert process.communicate(b"over there") == (b"over there", None)
    assert process.returncode == 0


def test_polling_in_a_thread_without_a_loop() -> None:
    statuses: list[int | None] = []

    def poll() -> None:
        process = Popen(["sh", "-c", "exit 6"])
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        statuses.append(process.returncode)

    thread = threading.Thread(target=poll)
    thread.start()
    thread.join(timeout=20)
    assert statuses == [6]


def test_a_status_that_is_collected_by_others_during_the_wait_is_unknown() -> None:
    process = Popen(["sleep", "0.05"])
    waiting = gcron.spawn(process.wait, 10)
    gcron.sleep(0)
    os.waitpid(process.pid, 0)
    assert waiting.get(timeout=10) == UNKNOWN_STATUS


def test_a_dropped_process_in_a_cycle_does_not_break_later_ones() -> None:
    """The standard library keeps a dropped process, to collect its status at the next start. If it was part of a cycle,
    the collector had closed its pidfd, but the number was kept: every later start failed with EBADF."""
    given_up = Popen(["sleep", "0.05"])
    given_up.itself = given_up  # type: ignore[attr-defined]
    pid = given_up.pid
    del given_up
    with pytest.warns(ResourceWarning, match=f"subprocess {pid} is still running"):
        gc.collect()
    while os.path.exists(f"/proc/{pid}"):
        assert Popen(["true"]).wait() == 0, "each start asks for the status of the one given up"


def test_the_status_is_collected_although_the_pidfd_was_closed() -> None:
    """Some libraries close all descriptors that they do not know, also that of our child."""
    process = Popen(["sh", "-c", "sleep 0.02; exit 3"])
    assert process._child is not None
    if process._child.pidfd is not None:
        os.close(process._child.pidfd)
    assert process.wait(timeout=10) == 3


def test_multiprocessing_keeps_its_statuses() -> None:
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(9,))
    child.start()
    assert call("exit 3", shell=True) == 3
    child.join(10)
    assert child.exitcode == 9
    child.close()


def test_a_forked_child_waits_for_its_own_children() -> None:
    with Popen(["sleep", "0.2"]) as process:
        waiting = gcron.spawn(process.wait)
        gcron.sleep(0.01)
        copy = os.fork()
        if copy == 0:
            status = 1
            with suppress(BaseException):
                status = call("exit 5", shell=True)
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 5
        assert waiting.get(timeout=10) == 0


def test_a_signal_to_a_process_that_just_ended_is_no_error() -> None:
    for _ in range(20):
        process = Popen(["true"])
        for send in (process.terminate, process.kill, lambda: process.send_signal(signal.SIGUSR1)):  # noqa: B023
            send()
        assert process.wait(10) in (0, -signal.SIGTERM, -signal.SIGKILL)


WRITTEN = "x" * 300_000
FREED_IN_THE_HUB = """
import sys
import gcron
from gcron.subprocess import PIPE, Popen
text = sys.argv[1] == "text"
process = Popen(["sleep", "100"], stdin=PIPE, text=text, bufsize=1 << 20)
process.stdin.write("x" * 300_000 if text else b"x" * 300_000)
held = [process.stdin]
process.stdin = None
gcron.get_hub().call_soon(held.clear)
gcron.sleep(0.01)
assert not held
process.kill()
process.wait()
"""


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_writer_freed_in_the_hub_with_unsent_data_raises_nothing(kind: str) -> None:
    """Regression: its finalizer waited for room, which is a `RuntimeError` in the hub, shown in development mode."""
    done = run([sys.executable, "-X", "dev", "-c", FREED_IN_THE_HUB, kind], stderr=PIPE, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("text", [False, True])
def test_a_writer_freed_with_unsent_data_blocks_nobody(text: bool) -> None:
    """Regression: dropping the last reference waited until the child had read everything.

    The pipe gets what it takes at once, and is closed.
    """
    with Popen("sleep 0.1; wc -c", shell=True, stdin=PIPE, stdout=PIPE, text=text, bufsize=1 << 20) as process:
        process.stdin.write(WRITTEN if text else WRITTEN.encode())
        held = [process.stdin]
        process.stdin = None
        freeing = gcron.spawn(held.clear)
        gcron.sleep(0)
        assert freeing.dead
        assert 0 < int(process.stdout.read()) < len(WRITTEN)


def test_a_writer_freed_with_what_the_pipe_takes_loses_nothing() -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        process.stdin.write(b"short")
        process.stdin = None
        assert process.stdout.read() == b"short"


def test_a_greenlet_killed_between_two_reads_loses_nothing_of_what_it_read() -> None:
    """Regression: the switch for fairness came after a read, so that a kill at that moment lost what was read."""
    with Popen("head -c 300000 /dev/zero", shell=True, stdout=PIPE, bufsize=0) as process:
        received = 0

        def receive() -> None:
            nonlocal received
            while chunk := process.stdout.read(1000):
                received += len(chunk)

        while received < 300_000:
            receiving = gcron.spawn(receive)
            gcron.sleep(0.001)
            receiving.kill()
        assert process.stdout.read() == b""
        assert received == 300_000
