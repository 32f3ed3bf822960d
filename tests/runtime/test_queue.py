"""Queues beyond the contract: copies, changing bounds, callers in the hub, and comparisons with models."""

from __future__ import annotations

import copy
import heapq
from collections import deque
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron.event import Event
from gcron.queue import Channel, Empty, Full, JoinableQueue, LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue

KINDS = [SimpleQueue, Queue, LifoQueue, PriorityQueue]
NEXT = {SimpleQueue: 3, Queue: 3, LifoQueue: 2, PriorityQueue: 1}


@pytest.mark.parametrize("kind", KINDS)
def test_peek_and_qsize_take_nothing(kind: Any) -> None:
    queue = kind(2)
    assert (queue.qsize(), len(queue), queue.empty(), queue.full(), bool(queue), queue.maxsize) == (
        0,
        0,
        True,
        False,
        True,
        2,
    )
    queue.put(2)
    queue.put_nowait(1)
    expected = 1 if kind in (LifoQueue, PriorityQueue) else 2
    assert (queue.peek(), queue.peek_nowait(), queue.qsize(), queue.full()) == (expected, expected, 2, True)
    assert queue.get() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_put_and_get_raise_full_and_empty_at_once_or_after_their_timeout(kind: Any) -> None:
    queue = kind(1, [1])
    for put in ({"block": False}, {"timeout": 0}, {"timeout": 0.001}):
        with pytest.raises(Full):
            queue.put(2, **put)
    queue.get_nowait()
    for look in (queue.get, queue.peek):
        for get in ({"block": False}, {"timeout": 0}, {"timeout": 0.001}):
            with pytest.raises(Empty):
                look(**get)
    with pytest.raises(Empty):
        queue.peek_nowait()


@pytest.mark.parametrize("kind", [*KINDS, Channel])
def test_a_timeout_object_is_raised_itself(kind: Any) -> None:
    """A program that gave a `Timeout` as `timeout=` and caught that got `Empty` or `Full`, which it did not expect."""
    full: Any = kind() if kind is Channel else kind(1, [1])
    looks = [kind().get] if kind is Channel else [kind().get, kind().peek]
    for wait in (*looks, partial(full.put, 2)):
        for make in (gcron.Timeout, gcron.Timeout.start_new, lambda seconds: gcron.Timeout(seconds, False)):
            limit = make(0.001)
            with pytest.raises(gcron.Timeout) as raised:
                wait(timeout=limit)
            assert raised.value is limit
        with pytest.raises(KeyError, match="mine"):
            wait(timeout=gcron.Timeout(0.001, KeyError("mine")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_items_and_is_independent(kind: Any) -> None:
    queue = kind(5, [3, 1, 2])
    for duplicate in (queue.copy(), copy.copy(queue)):
        assert type(duplicate) is kind
        assert duplicate.maxsize == 5
        duplicate.put(9)
        assert (queue.qsize(), duplicate.qsize()) == (3, 4)
    assert queue.get() == NEXT[kind]


def test_a_copy_has_the_same_unfinished_tasks_and_no_waiters() -> None:
    queue: Queue[int] = Queue()
    getter = gcron.spawn(queue.get)
    queue.put(1)
    queue.get_nowait()
    gcron.sleep(0)
    duplicate = queue.copy()
    duplicate.put(7)
    assert (queue.unfinished_tasks, duplicate.unfinished_tasks, duplicate.qsize()) == (1, 2, 1)
    getter.kill()


def test_unfinished_tasks_start_with_the_items_or_as_given() -> None:
    assert Queue(items=[1, 2]).unfinished_tasks == 2
    queue: Queue[int] = Queue(items=[1], unfinished_tasks=3)
    assert queue.unfinished_tasks == 3
    assert JoinableQueue is Queue


def test_more_first_items_than_maxsize_are_kept() -> None:
    queue = Queue(1, [1, 2, 3])
    assert queue.full()
    putter = gcron.spawn(queue.put, 4)
    assert [queue.get() for _ in range(4)] == [1, 2, 3, 4]
    putter.join()


@pytest.mark.parametrize("bound", [None, 3])
def test_a_larger_maxsize_admits_newcomers(bound: int | None) -> None:
    queue = Queue(1, [1])
    putter = gcron.spawn(queue.put, 2)
    gcron.sleep(0)
    queue.maxsize = bound
    queue.put(3, timeout=0.001)
    assert [queue.get(timeout=1) for _ in range(3)] == [1, 3, 2]
    assert putter.dead


def test_a_subclass_with_the_standard_librarys_hooks() -> None:
    class Newest(Queue[int]):
        def _init(self, maxsize: int | None) -> None:
            self.queue = []

        def _put(self, item: int) -> None:
            self.queue.append(-item)

        def _get(self) -> int:
            return -int(self.queue.pop())

    queue = Newest(2, [1, 2])
    assert queue.full()
    assert [queue.get(), queue.get()] == [2, 1]


def test_a_hook_that_fails_keeps_the_place_and_the_item() -> None:
    class Choosy(Queue[int]):
        def _put(self, item: int) -> None:
            if item < 0:
                raise ValueError(item)
            super()._put(item)

    queue = Choosy(1, [1])

    def put_what_is_refused() -> None:
        with pytest.raises(ValueError, match="-1"):
            queue.put(-1)

    refused = gcron.spawn(put_what_is_refused)
    putter = gcron.spawn(queue.put, 2)
    gcron.sleep(0)
    assert [queue.get(timeout=1), queue.get(timeout=1)] == [1, 2]
    gcron.joinall([refused, putter])
    assert queue.unfinished_tasks == 2


def test_the_hub_may_put_and_get_where_no_wait_is_needed() -> None:
    queue: Queue[int] = Queue(1)
    told: list[Any] = []

    def in_the_hub() -> None:
        queue.put(1)
        for act in (lambda: queue.put_nowait(2), queue.get_nowait, queue.get_nowait):
            try:
                told.append(act())
            except (Full, Empty) as error:
                told.append(type(error))

    gcron.get_hub().call_soon(in_the_hub)
    gcron.sleep(0)
    gcron.sleep(0)
    gcron.get_hub().call_soon(queue.put_nowait, 3)
    assert queue.get(timeout=1) == 3
    assert told == [Full, 1, Empty]


def test_a_call_that_would_wait_in_the_hub_raises() -> None:
    told: list[str] = []

    def in_the_hub() -> None:
        try:
            Queue().get()
        except RuntimeError as error:
            told.append(str(error))

    gcron.get_hub().call_soon(in_the_hub)
    gcron.sleep(0)
    gcron.sleep(0)
    assert "must not block" in told[0]


def test_put_nowait_reaches_a_channels_waiting_getter() -> None:
    channel: Channel[int] = Channel()
    getter = gcron.spawn(channel.get)
    gcron.sleep(0)
    assert channel.balance == -1
    channel.put_nowait(3)
    assert getter.get(timeout=1) == 3
    gcron.spawn(lambda: [channel.put(item) for item in (1, 2)] and channel.put(StopIteration))  # type: ignore[arg-type]
    assert list(channel) == [1, 2]
    assert (channel.qsize(), channel.empty(), channel.full(), channel.balance) == (0, True, True, 0)


def test_an_interrupted_join_leaves_the_others_waiting() -> None:
    queue = Queue(items=[1])
    joiners = [gcron.spawn(queue.join), gcron.spawn(queue.join, 100)]
    gcron.sleep(0)
    joiners[0].kill()
    queue.task_done()
    assert joiners[1].get(timeout=1) is True
    assert queue.join(timeout=0) is True


# -- against models -----------------------------------------------------------------------------------------

STORES: dict[Any, tuple[Any, Any]] = {
    Queue: (lambda store, item: store.append(item), lambda store: store.pop(0)),
    LifoQueue: (lambda store, item: store.append(item), lambda store: store.pop()),
    PriorityQueue: (heapq.heappush, heapq.heappop),
}
ONE_STEP = st.tuples(st.sampled_from(["put", "get", "peek", "done"]), st.integers(0, 9))


@settings(max_examples=200)
@given(st.sampled_from(list(STORES)), st.sampled_from([None, 1, 3]), st.lists(ONE_STEP, max_size=40))
def test_without_waiting_a_queue_equals_its_model(kind: Any, maxsize: int | None, steps: list[tuple[str, int]]) -> None:
    queue = kind(maxsize)
    store: list[int] = []
    unfinished = 0
    put, get = STORES[kind]
    for step, item in steps:
        if step == "put" and (maxsize is None or len(store) < maxsize):
            queue.put_nowait(item)
            put(store, item)
            unfinished += 1
        elif step == "put":
            with pytest.raises(Full):
                queue.put_nowait(item)
        elif step == "done" and unfinished:
            queue.task_done()
            unfinished -= 1
        elif step == "done":
            with pytest.raises(ValueError, match="too many"):
                queue.task_done()
        elif not store:
            with pytest.raises(Empty):
                queue.get_nowait() if step == "get" else queue.peek_nowait()
        elif step == "get":
            assert queue.get_nowait() == get(store)
        else:
            assert queue.peek_nowait() == get(list(store))
        assert (queue.qsize(), queue.unfinished_tasks) == (len(store), unfinished)
        assert queue.full() == (maxsize is not None and len(store) >= maxsize)


WAITING_STEP = st.tuples(
    st.sampled_from(["put", "get", "kill-putter", "kill-getter", "limit-putter", "limit-getter", "turn"]),
    st.integers(0, 3),
)


@settings(max_examples=200)
@given(st.lists(WAITING_STEP, max_size=40))
def test_a_channel_hands_over_each_item_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """Waiters are killed or time out at any moment. Each item whose put returned has arrived, or can still be got."""
    channel: Channel[int] = Channel()
    returned: list[int] = []
    got: deque[int] = deque()
    putters: list[gcron.Greenlet] = []
    getters: list[gcron.Greenlet] = []

    def put(item: int, limit: float | None) -> None:
        channel.put(item, timeout=limit)
        returned.append(item)

    def get(limit: float | None) -> None:
        got.append(channel.get(timeout=limit))

    for number, (step, index) in enumerate(steps):
        if step in ("put", "limit-putter"):
            putters.append(gcron.spawn(put, number, 0 if step == "limit-putter" else None))
        elif step in ("get", "limit-getter"):
            getters.append(gcron.spawn(get, 0 if step == "limit-getter" else None))
        elif step == "turn":
            gcron.sleep(0)
        else:
            for victim in (putters if step == "kill-putter" else getters)[index : index + 1]:
                victim.kill(block=False)
    gcron.sleep(0)
    gcron.sleep(0)
    gcron.killall([*putters, *getters])
    while channel._returned:
        got.append(channel.get_nowait())

    assert set(returned) <= set(got)
    assert len(set(got)) == len(got)
    assert channel.balance == 0


def test_join_can_be_used_repeatedly() -> None:
    queue: Queue[int] = Queue()
    done = Event()
    for _ in range(3):
        queue.put(1)
        joiner = gcron.spawn(lambda: (queue.join(), done.set()))
        gcron.sleep(0)
        assert not done.is_set()
        queue.get()
        queue.task_done()
        joiner.join()
        assert done.is_set()
        done.clear()


def test_a_priority_queue_does_not_keep_an_incomparable_item() -> None:
    """`heappush` stores an item before it compares it: the refused item stayed, and broke later calls."""
    queue: PriorityQueue[Any] = PriorityQueue(items=[3, 1, 2])
    with pytest.raises(TypeError):
        queue.put("text")
    queue.put(0)
    assert [queue.get_nowait() for _ in range(4)] == [0, 1, 2, 3]
    assert queue.empty()


def test_the_same_incomparable_item_put_twice_is_there_once() -> None:
    queue: PriorityQueue[Any] = PriorityQueue()
    item = object()
    queue.put(item)
    with pytest.raises(TypeError):
        queue.put(item)
    assert queue.qsize() == 1
    assert queue.get_nowait() is item


class TestShutDown:
    """As in the standard library from Python 3.13 on."""

    def test_after_shutdown_items_can_be_got_but_not_put(self) -> None:
        queue: Queue[int] = Queue(items=[1, 2])
        queue.shutdown()
        for put in (lambda: queue.put(3), lambda: queue.put_nowait(3), lambda: queue.put(3, timeout=1)):
            with pytest.raises(ShutDown):
                put()
        assert [queue.get(), queue.get_nowait()] == [1, 2]
        for get in (queue.get, queue.get_nowait, queue.peek, lambda: queue.get(timeout=1)):
            with pytest.raises(ShutDown):
                get()
        queue.task_done()
        queue.task_done()
        assert queue.join(timeout=1)

    def test_shutdown_wakes_waiters_at_both_ends(self) -> None:
        empty, full = Queue[int](), Queue[int](1, [1])
        getters = [gcron.spawn(empty.get), gcron.spawn(empty.get, True, 5), gcron.spawn(empty.peek)]
        putters = [gcron.spawn(full.put, 2), gcron.spawn(full.put, 3, True, 5)]
        gcron.sleep(0)
        empty.shutdown()
        full.shutdown()
        gcron.joinall(getters + putters, timeout=1)
        assert [type(greenlet.exception) for greenlet in getters + putters] == [ShutDown] * 5
        assert full.get() == 1

    def test_immediate_shutdown_drops_the_items(self) -> None:
        queue: Queue[int] = Queue(items=range(3))
        joining = gcron.spawn(queue.join)
        gcron.sleep(0)
        queue.shutdown(immediate=True)
        assert joining.get(timeout=1) is True
        assert (queue.qsize(), queue.unfinished_tasks) == (0, 0)
        with pytest.raises(ShutDown):
            queue.get()

    def test_a_woken_getter_still_gets_its_item_after_shutdown(self) -> None:
        queue: Queue[int] = Queue()
        getter = gcron.spawn(queue.get)
        gcron.sleep(0)
        queue.put(1)
        queue.put(2)
        queue.shutdown(immediate=True)
        assert getter.get(timeout=1) in (1, 2)
        assert queue.qsize() == 0

    def test_an_admitted_putter_gets_shutdown(self) -> None:
        queue: Queue[int] = Queue(1, [1])
        putter = gcron.spawn(queue.put, 2)
        gcron.sleep(0)
        queue.get()
        queue.shutdown()
        putter.join(timeout=1)
        assert isinstance(putter.exception, ShutDown)
        assert queue.qsize() == 0

    def test_a_waiter_killed_during_shutdown_gets_only_the_kill(self) -> None:
        queue: Queue[int] = Queue()
        steps: list[str] = []

        def get() -> None:
            try:
                queue.get()
            finally:
                gcron.sleep(0)
                gcron.sleep(0)
                steps.append("undisturbed")

        getter = gcron.spawn(get)
        gcron.sleep(0)
        getter.kill(block=False)
        queue.shutdown()
        getter.join(timeout=1)
        assert steps == ["undisturbed"]
        assert isinstance(getter.value, gcron.GreenletExit)
