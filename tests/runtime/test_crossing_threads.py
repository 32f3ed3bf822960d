"""Use by several threads: directly where that is allowed, otherwise by `call_soon_threadsafe` (docs/runtime.md)."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import BoundedSemaphore, RLock, Semaphore
from gcron.queue import Channel, Queue
from gcron.runtime.hub import wake

LIMIT = 30  # seconds until a lost wake-up counts as one


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    """Let threads switch a thousand times as often as usual, so that races between two steps happen."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(*functions: Callable[[], Any]) -> None:
    """Call all functions at once, each in a thread with a hub of its own. Raise what one of them raised."""
    errors: list[BaseException] = []

    def guarded(function: Callable[[], Any]) -> None:
        release = gcron.get_hub().hold()
        try:
            with gcron.Timeout(LIMIT):
                function()
        except BaseException as error:
            errors.append(error)
        finally:
            release()

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


# -- directly: events, results, semaphores, greenlets --------------------------------------------------------


def test_results_between_two_loops_lose_no_wake_up() -> None:
    """Each side may act at any moment between the other's check of the value and its enqueueing."""
    there = [AsyncResult[int]() for _ in range(3000)]
    back = [AsyncResult[int]() for _ in range(3000)]

    def ask() -> None:
        for number, (question, answer) in enumerate(zip(there, back, strict=True)):
            question.set(number)
            assert answer.get() == -number

    def reply() -> None:
        for question, answer in zip(there, back, strict=True):
            answer.set(-question.get())

    in_threads(ask, reply)


def test_a_plain_thread_wakes_waiting_greenlets() -> None:
    """A `threading.Thread` without a loop of its own, against many greenlets, one result and one event each."""
    results = [AsyncResult[int]() for _ in range(2000)]
    events = [Event() for _ in range(2000)]

    def set_all() -> None:
        for number, (result, event) in enumerate(zip(results, events, strict=True)):
            if number % 3:
                result.set(number)
            else:
                result.set_exception(LookupError(number))
            event.set()

    def take(number: int) -> bool:
        try:
            assert results[number].get() == number
        except LookupError as error:
            assert error.args == (number,)
        return events[number].wait()

    thread = threading.Thread(target=set_all)
    release = gcron.get_hub().hold()
    takers = [gcron.spawn(take, number) for number in range(2000)]
    thread.start()
    assert len(gcron.joinall(takers, timeout=LIMIT)) == 2000
    assert all(taker.value is True for taker in takers)
    release()
    thread.join()


def test_an_event_set_and_cleared_at_once_wakes_waiters_of_every_thread() -> None:
    """The flag is cleared before any of them checks it: only the notification can wake them."""
    rounds = 60
    event, woken, go_on = Event(), Semaphore(0), Semaphore(0)

    def wait() -> None:
        for _ in range(rounds):
            assert event.wait()
            woken.release()
            go_on.acquire()

    def wait_three_times() -> None:
        gcron.joinall([gcron.spawn(wait) for _ in range(3)], raise_error=True)

    def set_and_clear() -> None:
        for _ in range(rounds):
            while not (isinstance(event._links, list) and len(event._links) == 6):
                gcron.sleep(0)
            event.set()
            event.clear()
            for _ in range(6):
                woken.acquire()
            for _ in range(6):
                go_on.release()

    in_threads(wait_three_times, wait_three_times, set_and_clear)
    assert not event._links


@pytest.mark.parametrize("limit", [None, 0.0002])
def test_no_permit_is_lost_or_doubled_between_threads(limit: float | None) -> None:
    """The model: a lock admits one at a time. With a limit, waiters give up at the moment of their permit."""
    permits = BoundedSemaphore(2)
    inside: list[int] = []
    entered = [0] * 4

    def enter(number: int) -> None:
        def one() -> None:
            for _ in range(200):
                while not permits.acquire(timeout=limit):
                    pass
                inside.append(number)
                assert len(inside) <= 2
                if random.random() < 0.3:
                    gcron.sleep(0)
                inside.remove(number)
                entered[number] += 1
                permits.release()

        gcron.joinall([gcron.spawn(one) for _ in range(3)], raise_error=True)

    in_threads(*[lambda number=number: enter(number) for number in range(4)])
    assert sum(entered) == 4 * 3 * 200
    assert permits.counter == 2
    assert not permits._acquirers


def test_no_permit_is_lost_when_waiters_are_killed() -> None:
    permits = Semaphore(1)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            victims = [gcron.spawn(permits.__enter__) for _ in range(3)]
            for victim in victims:
                victim.link_value(
                    lambda victim: None if isinstance(victim.value, gcron.GreenletExit) else permits.release()
                )
            gcron.sleep(0)
            gcron.killall(victims)
            gcron.sleep(0)

    def hold_now_and_then() -> None:
        for _ in range(1500):
            with permits:
                pass
        stop.set()

    in_threads(churn, hold_now_and_then)
    assert permits.counter == 1
    assert not permits._acquirers


def test_a_late_wake_up_does_not_end_a_later_wait() -> None:
    """Waits with tiny limits race with `set` of another thread. Each is followed by a sleep that must not be cut short.

    Without seats the late wake-up ended that sleep, or the next wait of the greenlet.
    """
    slot: list[Event] = [Event()]
    stop = threading.Event()
    short: list[float] = []

    def set_for_ever() -> None:
        while not stop.is_set():
            slot[0].set()

    def wait_and_sleep() -> None:
        for _ in range(1500):
            slot[0] = event = Event()
            if random.random() < 0.5:
                event.wait(timeout=0.00002)
            else:
                gcron.with_timeout(0.00002, event.wait, timeout_value=None)
            start = time.monotonic()
            gcron.sleep(0.0002)
            if time.monotonic() - start < 0.0002:
                short.append(time.monotonic() - start)
        stop.set()

    setter = threading.Thread(target=set_for_ever)
    setter.start()
    try:
        in_threads(wait_and_sleep)
    finally:
        stop.set()
        setter.join()
    assert short == []


def caught(function: Callable[[], Any]) -> BaseException | None:
    try:
        function()
    except Exception as error:
        return error
    return None


WAITS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "AsyncResult.get": (
        AsyncResult,
        lambda thing: thing.get(),
        lambda thing: thing.set(True),
        "gcron.runtime.event.getcurrent",
    ),
    "AsyncResult.get, an error": (
        AsyncResult,
        lambda thing: isinstance(gcron.with_timeout(LIMIT, caught, thing.get), LookupError),
        lambda thing: thing.set_exception(LookupError()),
        "gcron.runtime.event.getcurrent",
    ),
    "AsyncResult.wait": (
        AsyncResult,
        lambda thing: thing.wait(),
        lambda thing: thing.set(1),
        "gcron.runtime.links.current",
    ),
    "Event.wait": (Event, lambda thing: thing.wait(), lambda thing: thing.set(), "gcron.runtime.links.current"),
    "Semaphore.acquire": (
        lambda: Semaphore(0),
        lambda thing: thing.acquire(),
        lambda thing: thing.release(),
        "gcron.runtime.lock.raw_getcurrent",
    ),
    "Semaphore.wait": (
        lambda: Semaphore(0),
        lambda thing: thing.wait(),
        lambda thing: thing.release(),
        "gcron.runtime.links.current",
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_notification_between_check_and_enqueue_is_not_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread acts exactly between the two steps. No stress test hits that moment reliably."""
    make, wait, act, step = WAITS[name]
    thing = make()
    module_name, _, function_name = step.rpartition(".")
    function = getattr(sys.modules[module_name], function_name)

    def interrupted() -> Any:
        monkeypatch.undo()
        thread = threading.Thread(target=act, args=(thing,))
        thread.start()
        thread.join()
        return function()

    monkeypatch.setattr(step, interrupted)
    assert wait(thing)
    gcron.sleep(0)
    assert not thing._links
    assert not getattr(thing, "_acquirers", None)


def test_a_pending_wake_up_stays_with_the_abandoned_seat() -> None:
    """Another thread has taken the waiter out of the queue, and has not woken it yet, when the waiter's time is up."""
    event = Event()

    def wait_and_sleep() -> float:
        assert event.wait(timeout=0.001)  # being taken out counts
        start = time.monotonic()
        gcron.spawn(wake, seat)
        gcron.sleep(0.01)
        return time.monotonic() - start

    waiter = gcron.spawn(wait_and_sleep)
    gcron.sleep(0)
    seat, event._links = event._links, None
    assert waiter.get() >= 0.01


def test_event_agrees_with_the_standard_library() -> None:
    """One plain thread sets both, others wait for them: both give the same answers."""
    ours, theirs = Event(), threading.Event()
    answers: list[tuple[bool, bool]] = []

    def wait(limit: float) -> None:
        mine = ours.wait(limit)
        answers.append((mine, theirs.wait(0) if mine else theirs.is_set()))

    def set_both() -> None:
        time.sleep(0.05)
        theirs.set()
        ours.set()

    setter = threading.Thread(target=set_both)
    setter.start()
    in_threads(*[lambda: wait(LIMIT)] * 3, lambda: wait(0.001))
    setter.join()
    assert sorted(answers) == [(False, False)] + [(True, True)] * 3


def test_a_greenlet_is_waited_for_and_killed_from_another_thread() -> None:
    hub = gcron.get_hub()
    release = hub.hold()
    finished: list[Any] = []
    sleeper = gcron.spawn(gcron.sleep, LIMIT)
    workers = [
        gcron.spawn(gcron.with_timeout, 0.001 * number, Event().wait, timeout_value=number) for number in range(20)
    ]

    def look() -> None:
        finished.append([worker.get() for worker in workers])
        sleeper.kill(timeout=LIMIT)
        finished.append(sleeper.value)
        hub.call_soon_threadsafe(release)

    thread = threading.Thread(target=in_threads, args=(look,))
    thread.start()
    gcron.joinall([sleeper, *workers])
    assert gcron.wait(timeout=LIMIT)
    thread.join()
    assert finished[0] == list(range(20))
    assert isinstance(finished[1], gcron.GreenletExit)


def test_links_are_called_in_the_thread_that_made_them() -> None:
    result: AsyncResult[int] = AsyncResult()
    called: list[tuple[int, int]] = []
    linked = threading.Barrier(3)
    unlinked: list[Any] = []

    def link() -> None:
        done: Event = Event()
        ident = threading.get_ident()
        result.rawlink(unlinked.append)
        result.rawlink(lambda source: called.append((ident, threading.get_ident())))
        result.rawlink(lambda source: done.set())
        result.unlink(unlinked.append)
        linked.wait()
        done.wait()

    def set_it() -> None:
        linked.wait()
        result.set(1)

    in_threads(link, link, set_it)
    assert len(called) == 2
    assert all(made_in == called_in for made_in, called_in in called)
    assert unlinked == []


def test_wait_returns_what_other_threads_make_ready() -> None:
    events = [Event() for _ in range(500)]
    thread = threading.Thread(target=lambda: [event.set() for event in reversed(events)])
    release = gcron.get_hub().hold()
    thread.start()
    assert sorted(map(id, gcron.wait(events, timeout=LIMIT))) == sorted(map(id, events))
    release()
    thread.join()


def test_an_rlock_excludes_greenlets_of_all_threads() -> None:
    lock = RLock()
    total = 0

    def add() -> None:
        nonlocal total
        for _ in range(500):
            with lock, lock:
                seen = total
                if random.random() < 0.1:
                    gcron.sleep(0)
                total = seen + 1

    in_threads(*[lambda: gcron.joinall([gcron.spawn(add), gcron.spawn(add)], raise_error=True)] * 2)
    assert total == 4 * 500


def test_a_loop_waiting_for_a_thread_does_not_spin() -> None:
    """It uses almost no processor time while it waits."""
    result: AsyncResult[int] = AsyncResult()
    used: list[float] = []

    def wait() -> None:
        start = time.thread_time()
        assert result.get() == 1
        used.append(time.thread_time() - start)

    setter = threading.Timer(0.3, result.set, (1,))
    setter.start()
    in_threads(wait)
    assert used[0] < 0.1


def test_waiters_of_an_ended_thread_disturb_nobody() -> None:
    event, semaphore, result = Event(), Semaphore(0), AsyncResult[int]()

    def leave_them() -> None:
        for wait in (event.wait, semaphore.acquire, result.get):
            gcron.spawn(wait)
        event.rawlink(lambda source: None)
        gcron.sleep(0)

    in_threads(leave_them)
    here = [gcron.spawn(event.wait), gcron.spawn(result.get)]
    gcron.sleep(0)
    event.set()
    semaphore.release()
    result.set(1)
    assert len(gcron.joinall(here, timeout=LIMIT)) == 2


def test_without_a_hold_a_main_greenlet_that_waits_for_a_thread_gets_loop_exit() -> None:
    with pytest.raises(gcron.LoopExit):
        Event().wait()


CARRIERS: dict[str, Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]] = {
    "Queue.put": lambda: ((queue := Queue[int]()).get, lambda: queue.put(7)),
    "Queue.get": lambda: (lambda: queue.put(8), (queue := Queue[int](1, [7])).get),
    "Channel.put": lambda: ((channel := Channel[int]()).get, lambda: channel.put_nowait(7)),
    "Channel.get": lambda: (lambda: channel.put(8), (channel := Channel[int]()).get_nowait),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_queues_across_threads_raise_runtime_error(name: str) -> None:
    """The waiter goes on waiting, and the item stays."""
    wait, act = CARRIERS[name]()
    waiting = gcron.spawn(wait)
    gcron.sleep(0)
    with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
        in_threads(act)
    gcron.sleep(0)
    assert not waiting.dead
    act()
    waiting.join(timeout=LIMIT)
    assert waiting.successful()


# -- by call_soon_threadsafe: everything else ------------------------------------------------------------------

WAYS: dict[str, Callable[[], tuple[Callable[[], Any], Callable[..., Any], tuple[Any, ...]]]] = {
    "Event": lambda: ((event := Event()).wait, event.set, ()),
    "AsyncResult": lambda: ((result := AsyncResult[int]()).get, result.set, (7,)),
    "Queue": lambda: ((queue := Queue[int]()).get, queue.put_nowait, (7,)),
    "Channel": lambda: ((channel := Channel[int]()).get, channel.put_nowait, (7,)),
    "Semaphore": lambda: ((semaphore := Semaphore(0)).acquire, semaphore.release, ()),
}


@pytest.mark.parametrize("name", WAYS)
def test_another_thread_wakes_a_loop_that_waits_for_it(name: str) -> None:
    wait, act, arguments = WAYS[name]()
    hub = gcron.get_hub()
    release = hub.hold()
    waiting = gcron.spawn(wait)
    gcron.sleep(0)
    other = threading.Thread(target=hub.call_soon_threadsafe, args=(act, *arguments))
    other.start()
    try:
        assert waiting.get(timeout=20) == (arguments[0] if arguments else True)
    finally:
        release()
        other.join()


def test_call_soon_threadsafe_puts_from_many_threads_lose_nothing() -> None:
    queue: Queue[tuple[int, int]] = Queue()
    hub = gcron.get_hub()
    release = hub.hold()

    def produce(producer: int) -> None:
        for number in range(200):
            hub.call_soon_threadsafe(queue.put_nowait, (producer, number))

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(4)]
    for thread in threads:
        thread.start()
    with gcron.Timeout(20):
        got = [queue.get() for _ in range(800)]
    release()
    for thread in threads:
        thread.join()

    for producer in range(4):
        assert [number for who, number in got if who == producer] == list(range(200))
