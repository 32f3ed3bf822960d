"""ThreadPool: real threads beside the loop. The tests hold threads by `threading.Event`, never by sleeping."""

from __future__ import annotations

import errno
import gc
import os
import threading
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult
from gcron.threadpool import ThreadPool

PATIENCE = 20


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that threads wait for. It is set at the end in any case."""
    made = threading.Event()
    yield made
    made.set()


def held(pool: ThreadPool, gate: threading.Event) -> tuple[threading.Event, AsyncResult[Any]]:
    """A call that reports that it has begun, and waits for the gate."""
    begun = threading.Event()

    def hold() -> int:
        begun.set()
        assert gate.wait(PATIENCE)
        return threading.get_ident()

    result = pool.spawn(hold)
    return begun, result


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.5, TypeError)])
def test_wrong_sizes_are_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="thread"):
        ThreadPool(size)
    pool = ThreadPool(2)
    with pytest.raises(error, match="thread"):
        pool.maxsize = size
    assert pool.maxsize == 2


def test_threads_are_started_as_needed_up_to_maxsize(gate: threading.Event) -> None:
    pool = ThreadPool(2)
    assert (pool.size, len(pool), bool(pool)) == (0, 0, True)
    calls = [held(pool, gate) for _ in range(3)]
    assert calls[0][0].wait(PATIENCE)
    assert calls[1][0].wait(PATIENCE)
    assert (pool.size, len(pool), calls[2][0].is_set()) == (2, 3, False)
    gate.set()

    assert pool.join() is True
    assert len({result.get() for _, result in calls}) <= 2
    assert len(pool) == 0
    pool.kill()
    assert pool.size == 0


def test_a_larger_maxsize_starts_threads_for_waiting_calls(gate: threading.Event) -> None:
    pool = ThreadPool(1)
    held(pool, gate)
    begun, _ = held(pool, gate)
    pool.maxsize = 2

    assert begun.wait(PATIENCE)
    assert pool.size == 2
    gate.set()
    pool.maxsize = 1
    assert pool.size == 1
    assert pool.apply(max, (1, 2)) == 2
    pool.kill()


def test_join_times_out_and_lets_outer_timeouts_pass(gate: threading.Event) -> None:
    pool = ThreadPool(1)
    _, result = held(pool, gate)
    assert pool.join(timeout=0.001) is False
    with pytest.raises(gcron.Timeout) as caught, gcron.Timeout(0.001) as outer:
        pool.join(timeout=PATIENCE)
    assert caught.value is outer
    with pytest.raises(gcron.Timeout):
        result.get(timeout=0.001)
    gate.set()
    assert pool.join(timeout=PATIENCE) is True
    pool.kill()


def test_after_kill_earlier_calls_end_and_new_calls_start_new_threads(gate: threading.Event) -> None:
    pool = ThreadPool(1)
    results = [held(pool, gate)[1] for _ in range(3)]
    pool.kill()
    gate.set()

    assert all(result.get(timeout=PATIENCE) for result in results)
    assert pool.apply(max, (1, 2)) == 2
    pool.kill()


def test_after_kill_new_calls_do_not_wait_for_a_thread_that_hangs(gate: threading.Event) -> None:
    """The None that should end the hanging thread ended the thread that a later call had started.

    That call then waited as long as the other one hung: with a dead network file system, for ever.
    """
    pool = ThreadPool(1)
    begun, hanging = held(pool, gate)
    assert begun.wait(PATIENCE)
    pool.kill()

    assert pool.spawn(max, 1, 2).get(timeout=PATIENCE) == 2
    assert (pool.size, len(pool), hanging.ready()) == (1, 1, False)
    hung = [thread for thread in threading.enumerate() if thread.ident in pool._threads.idents]
    pool.kill()
    gate.set()
    assert hanging.get(timeout=PATIENCE)
    for thread in hung:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def fail_in_a_thread() -> None:
    raise LookupError("lost")


def test_an_error_keeps_its_traceback_and_is_the_same_each_time() -> None:
    result = gcron.get_hub().threadpool.spawn(fail_in_a_thread)
    errors = []
    for _ in range(2):
        with pytest.raises(LookupError) as caught:
            result.get(timeout=PATIENCE)
        errors.append(caught.value)

    assert errors[0] is errors[1]
    assert result.exc_info
    assert traceback.extract_tb(result.exc_info[2])[-1].name == "fail_in_a_thread"


def test_an_error_that_nobody_waits_for_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """An error in `pool.spawn(function)` was lost if nobody asked for the result."""
    pool = ThreadPool(1)
    unheard = pool.spawn(int, "unheard")
    while not unheard.ready():
        gcron.sleep(0.001)
    assert "'unheard'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="unheard"):
        unheard.get()

    for ask in (pool.apply, lambda function, arguments: pool.spawn(function, *arguments).get()):
        with pytest.raises(ValueError, match="heard"):
            ask(int, ("heard",))
    assert capsys.readouterr().err == ""
    pool.kill()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, gcron.GreenletExit])
def test_fatal_errors_go_to_the_caller(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    pool = ThreadPool(1)
    with pytest.raises(error):
        pool.spawn(fail).get(timeout=PATIENCE)
    assert pool.apply(max, (1, 2)) == 2
    pool.kill()


def test_several_hubs_may_use_one_pool_and_each_gets_its_own_results() -> None:
    pool = ThreadPool(2)
    found: dict[int, list[int]] = {}

    def use(number: int) -> None:
        found[number] = pool.map(lambda item: item * number, range(50))
        assert pool.join(PATIENCE)

    others = [threading.Thread(target=use, args=(number,)) for number in (1, 2, 3)]
    for other in others:
        other.start()
    use(4)
    for other in others:
        other.join(PATIENCE)

    assert found == {number: [item * number for item in range(50)] for number in (1, 2, 3, 4)}
    assert len(pool) == 0
    pool.kill()


def gone(*ignored: Any) -> None:
    raise OSError(errno.EBADF, "closed")


def test_a_thread_survives_the_end_of_the_calling_loop(gate: threading.Event) -> None:
    """Waking a loop whose descriptors were closed raised EBADF in the pool's thread, and ended it."""
    pool = ThreadPool(1)

    def ask_and_go() -> None:
        gcron.get_hub().call_soon_threadsafe = gone  # type: ignore[method-assign]
        held(pool, gate)

    asker = threading.Thread(target=ask_and_go)
    asker.start()
    asker.join(PATIENCE)
    gate.set()

    assert pool.spawn(max, 1, 2).get(timeout=PATIENCE) == 2
    assert (pool.size, len(pool)) == (1, 0)
    pool.kill()


def test_a_killed_waiter_does_not_affect_its_call_or_the_pool(gate: threading.Event) -> None:
    pool = ThreadPool(1)
    waiting = gcron.spawn(pool.apply, gate.wait, (PATIENCE,))
    gcron.sleep(0)
    waiting.kill()
    gate.set()

    assert isinstance(waiting.value, gcron.GreenletExit)
    assert pool.join(PATIENCE) is True
    assert pool.apply(max, (1, 2)) == 2
    pool.kill()


def test_it_keeps_neither_arguments_nor_results_nor_itself_alive() -> None:
    class Thing:
        pass

    pool = ThreadPool(1)
    thing = Thing()
    seen = weakref.ref(thing)
    pool.apply(lambda thing: thing, (thing,))
    del thing
    pool.apply(int)  # the thread has let go of the last call once it has taken another
    gc.collect()
    assert seen() is None

    threads = [thread for thread in threading.enumerate() if thread.ident in pool._threads.idents]
    shared = pool._threads
    del pool
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert shared.threads == 0


def test_existing_threads_do_the_work_when_no_more_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ThreadPool(4)
    pool.apply(int)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert pool.map(str, range(10)) == list("0123456789")

    alone = ThreadPool(1)
    with pytest.raises(RuntimeError, match="can't start"):
        alone.spawn(int)
    assert len(alone) == 0
    assert alone.join() is True
    monkeypatch.undo()
    assert alone.apply(int) == 0
    alone.kill()
    pool.kill()


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_forked_child_has_a_pool_that_works(gate: threading.Event) -> None:
    """The threads exist only in the parent. The child waited for them for ever."""
    pool = ThreadPool(1)
    held(pool, gate)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with gcron.Timeout(PATIENCE):
                assert len(pool) == 0
                assert pool.map(str, range(3)) == list("012")
                assert pool.join() is True
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.set()
    assert pool.join(PATIENCE) is True
    pool.kill()
