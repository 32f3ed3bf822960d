"""A kill or an outer time limit during any blocking call leaves no item, permit, place or waiter behind.

Each case starts a greenlet that waits, and ends it at one of three moments: `at-rest` while it waits, `granted` when it
has what it waits for but has not run yet, and `out-of-time` by an outer time limit. Then it uses the object as if
nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.lock import BoundedSemaphore, RLock, Semaphore
from gcron.pool import Group, Pool
from gcron.queue import Channel, LifoQueue, PriorityQueue, Queue, SimpleQueue


class Case(NamedTuple):
    """A wait, what fulfils it, and what must be true after it was interrupted, before and after that."""

    wait: Callable[[], Any]
    grant: Callable[[], Any]
    intact: Callable[[bool], bool]


def getting(kind: Any, look: str) -> Case:
    queue = kind()
    return Case(getattr(queue, look), lambda: queue.put(1), lambda granted: not granted or queue.get(timeout=0.01) == 1)


def putting(kind: Any) -> Case:
    queue = kind(1, [1])

    def intact(granted: bool) -> bool:
        if not granted:
            queue.get_nowait()
        queue.put_nowait(2)
        return bool(queue.get_nowait() == 2 and queue.empty())

    return Case(lambda: queue.put(9), queue.get, intact)


def channel_get() -> Case:
    channel: Channel[int] = Channel()

    def intact(granted: bool) -> bool:
        return channel.balance == 0 and (not granted or channel.get(timeout=0.01) == 1)

    return Case(channel.get, lambda: channel.put_nowait(1), intact)


def channel_put() -> Case:
    channel: Channel[int] = Channel()
    return Case(lambda: channel.put(1), lambda: channel.get(timeout=0.01), lambda granted: channel.balance == 0)


def acquiring(make: Callable[[], Any]) -> Case:
    lock = make()
    lock.acquire()

    def intact(granted: bool) -> bool:
        if not granted:
            lock.release()
        return lock.acquire(blocking=False) is True and lock.acquire(blocking=False) is isinstance(lock, RLock)

    return Case(lock.acquire, lock.release, intact)


def pool_place() -> Case:
    pool, stop = Pool(1), Event()
    pool.spawn(stop.wait)

    def intact(granted: bool) -> bool:
        stop.set()
        return pool.join(1) and pool.free_count() == 1

    return Case(lambda: pool.spawn(Event().wait), stop.set, intact)


def linked(thing: Any, wait: Callable[[], Any], grant: Callable[[], Any]) -> Case:
    return Case(wait, grant, lambda granted: not thing._links)


def of_event(wait: Callable[[Event], Any]) -> Case:
    event = Event()
    return linked(event, lambda: wait(event), event.set)


def of_result(wait: Callable[[AsyncResult[int]], Any]) -> Case:
    result: AsyncResult[int] = AsyncResult()
    return linked(result, lambda: wait(result), result.set)


def of_greenlet(wait: Callable[[gcron.Greenlet], Any]) -> Case:
    stop = Event()
    greenlet = gcron.spawn(stop.wait)

    def grant() -> None:
        stop.set()
        gcron.sleep(0)

    return linked(greenlet, lambda: wait(greenlet), grant)


def of_tasks() -> Case:
    queue = Queue(items=[1])
    return Case(queue.join, queue.task_done, lambda granted: queue.join(0) is granted)


def of_group() -> Case:
    group, stop = Group(), Event()
    group.spawn(stop.wait)

    def intact(granted: bool) -> bool:
        stop.set()
        return group.join(1)

    return Case(group.join, stop.set, intact)


CASES: dict[str, Callable[[], Case]] = {
    **{f"{kind.__name__}.get": lambda kind=kind: getting(kind, "get") for kind in (SimpleQueue, Queue, LifoQueue)},
    **{f"{kind.__name__}.peek": lambda kind=kind: getting(kind, "peek") for kind in (SimpleQueue, PriorityQueue)},
    **{f"{kind.__name__}.put": lambda kind=kind: putting(kind) for kind in (SimpleQueue, Queue, PriorityQueue)},
    "Queue.join": of_tasks,
    "Channel.get": channel_get,
    "Channel.put": channel_put,
    "Semaphore.acquire": lambda: acquiring(Semaphore),
    "BoundedSemaphore.acquire": lambda: acquiring(BoundedSemaphore),
    "Pool.spawn": pool_place,
    "Group.join": of_group,
    "Event.wait": lambda: of_event(lambda event: event.wait()),
    "wait(Event)": lambda: of_event(lambda event: gcron.wait([event])),
    "iwait(Event)": lambda: of_event(lambda event: list(gcron.iwait([event]))),
    "AsyncResult.get": lambda: of_result(lambda result: result.get()),
    "AsyncResult.wait": lambda: of_result(lambda result: result.wait()),
    "wait(AsyncResult)": lambda: of_result(lambda result: gcron.wait([result], timeout=100)),
    "Greenlet.join": lambda: of_greenlet(lambda greenlet: greenlet.join()),
    "Greenlet.get": lambda: of_greenlet(lambda greenlet: greenlet.get()),
    "joinall": lambda: of_greenlet(lambda greenlet: gcron.joinall([greenlet], timeout=100)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("moment", ["at-rest", "granted", "out-of-time"])
def test_a_waiter_that_is_interrupted_leaves_nothing_behind(name: str, moment: str) -> None:
    case = CASES[name]()
    limit = 0 if moment == "out-of-time" else 100
    waiting = gcron.spawn(gcron.with_timeout, limit, case.wait, timeout_value="out of time")
    gcron.sleep(0)
    if moment == "granted":
        case.grant()
    if moment == "out-of-time":
        assert waiting.get(timeout=1) == "out of time"
    waiting.kill()
    assert waiting.successful()
    granted = moment == "granted"
    if granted and name == "Channel.put":
        return  # it was taken: that is that

    assert case.intact(granted)


def test_an_rlock_stays_with_its_owner_when_a_waiter_is_killed() -> None:
    lock = RLock()
    lock.acquire()
    waiting = gcron.spawn(lock.acquire)
    gcron.sleep(0)
    waiting.kill()
    assert lock.acquire(blocking=False) is True
    lock.release()
    lock.release()
    assert gcron.spawn(lock.acquire, False).get() is True


@pytest.mark.parametrize("name", CASES)
def test_the_same_exception_object_is_raised(name: str) -> None:
    """An outer `Timeout(s, exception)` passes through like a plain one."""
    case = CASES[name]()
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught, gcron.Timeout(0, error):
        case.wait()
    assert caught.value is error


def never() -> Any:
    """Wait for ever."""
    return Event().wait()


WITHOUT_A_LIMIT_OF_THEIR_OWN: dict[str, Callable[[Any], Any]] = {
    "apply": lambda pool: pool.apply(never),
    "apply_cb": lambda pool: pool.apply_cb(never),
    "apply_async": lambda pool: pool.apply_async(never).get(),
    "map": lambda pool: pool.map(lambda _: never(), range(5)),
    "map_async": lambda pool: pool.map_async(lambda _: never(), range(5)).get(timeout=100),
    "imap": lambda pool: list(pool.imap(lambda _: never(), range(5), maxsize=2)),
    "imap_unordered": lambda pool: next(pool.imap_unordered(lambda _: never(), range(5))),
    "join": lambda pool: (pool.spawn(never), pool.join(timeout=100)),
    "wait_available": lambda pool: (pool.spawn(never), pool.spawn(never), pool.wait_available(timeout=100)),
    "killall": lambda pool: gcron.killall([begun(pool)], timeout=100),
    "kill": lambda pool: begun(pool).kill(timeout=100),
    "Pool.kill": lambda pool: (begun(pool), pool.kill(timeout=100)),
    "with_timeout": lambda pool: gcron.with_timeout(100, never, timeout_value="inner"),
    "silent inner block": lambda pool: silently(never),
    "next(iwait)": lambda pool: next(iter(gcron.iwait([Event()], timeout=100))),
    "next(queue)": lambda pool: next(Queue()),
    "RLock.acquire": lambda pool: held_elsewhere(pool).acquire(timeout=100),
}
let_go = Event()


def stubborn() -> None:
    try:
        let_go.wait()
    except gcron.GreenletExit:
        let_go.wait()


def begun(pool: Pool) -> gcron.Greenlet:
    greenlet = pool.spawn(stubborn)
    gcron.sleep(0)
    return greenlet


def silently(function: Callable[[], Any]) -> None:
    with gcron.Timeout(100, False):
        function()


def held_elsewhere(pool: Pool) -> RLock:
    lock = RLock()
    pool.spawn(lambda: (lock.acquire(), never()))
    gcron.sleep(0)
    return lock


@pytest.mark.parametrize("name", WITHOUT_A_LIMIT_OF_THEIR_OWN)
def test_an_outer_timeout_passes_through_composed_waits(name: str) -> None:
    pool = Pool(2)
    let_go.clear()
    outer = gcron.Timeout(0.002)
    with pytest.raises(gcron.Timeout) as caught, outer:
        WITHOUT_A_LIMIT_OF_THEIR_OWN[name](pool)
    assert caught.value is outer
    let_go.set()
    pool.kill()
    for _ in range(20):  # what still waited for a place gets one, and is ended as well
        gcron.sleep(0)
        pool.kill()
    assert (len(pool), pool.free_count()) == (0, 2)


@pytest.mark.parametrize("name", ["get", "peek", "put", "acquire", "wait", "join"])
def test_inner_and_outer_timeouts_do_not_interfere(name: str) -> None:
    """In both orders: whichever comes first has its effect, and the other one does not interfere."""
    waits: dict[str, Callable[[float], Any]] = {
        "get": lambda limit: raised(Queue().get, timeout=limit),
        "peek": lambda limit: raised(Queue().peek, timeout=limit),
        "put": lambda limit: raised(Queue(1, [1]).put, 2, timeout=limit),
        "acquire": lambda limit: Semaphore(0).acquire(timeout=limit),
        "wait": lambda limit: Event().wait(timeout=limit),
        "join": lambda limit: Queue(items=[1]).join(timeout=limit),
    }
    with gcron.Timeout(100) as outer:
        assert waits[name](0) in (False, "Empty", "Full")
        assert outer.pending
    with pytest.raises(gcron.Timeout) as caught, gcron.Timeout(0) as outer:
        waits[name](100)
    assert caught.value is outer


def raised(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error).__name__
    return "nothing"
