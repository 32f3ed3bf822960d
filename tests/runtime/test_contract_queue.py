"""Queues, channels, groups and pools: the contract, line by line (docs/runtime.md), and against a model."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron.event import Event
from gcron.pool import Group, Pool, PoolFull
from gcron.queue import Channel, Empty, Full, LifoQueue, PriorityQueue, Queue, SimpleQueue

KINDS = [SimpleQueue, Queue, LifoQueue, PriorityQueue]


class TestQueue:
    def test_empty_and_full_are_the_standard_librarys(self) -> None:
        import queue

        assert (Empty, Full) == (queue.Empty, queue.Full)

    @pytest.mark.parametrize("unbounded", [0, None])
    def test_zero_and_none_mean_no_bound(self, unbounded: int | None) -> None:
        queue: Queue[int] = Queue(unbounded)
        for number in range(1000):
            queue.put_nowait(number)
        assert not queue.full()

    @pytest.mark.parametrize("kind", KINDS)
    def test_first_items_and_order(self, kind: Any) -> None:
        queue = kind(items=[2, 1, 3])
        expected = {LifoQueue: [3, 1, 2], PriorityQueue: [1, 2, 3]}.get(kind, [2, 1, 3])
        assert [queue.get() for _ in range(3)] == expected

    @pytest.mark.parametrize("kind", KINDS)
    def test_peek_waits_and_leaves_the_item(self, kind: Any) -> None:
        queue = kind()
        peeking = gcron.spawn(queue.peek)
        getting = gcron.spawn(queue.get)
        gcron.sleep(0)
        queue.put(7)

        assert (peeking.get(timeout=1), getting.get(timeout=1)) == (7, 7)
        with pytest.raises(Empty):
            queue.peek_nowait()

    def test_blocked_putters_go_on_in_their_order(self) -> None:
        queue: Queue[int] = Queue(1, [0])
        putting = [gcron.spawn(queue.put, number) for number in (1, 2, 3)]
        gcron.sleep(0)

        assert [queue.get() for _ in range(4)] == [0, 1, 2, 3]
        gcron.joinall(putting)

    def test_a_newcomer_does_not_overtake_a_waiter(self) -> None:
        queue: Queue[int] = Queue(1, [0])
        patient = gcron.spawn(queue.put, 1)
        gcron.sleep(0)
        queue.get()
        with pytest.raises(Full):
            queue.put_nowait(2)
        patient.join()

        assert queue.get_nowait() == 1

    @pytest.mark.parametrize("how", ["kill", "timeout"])
    def test_a_woken_getter_that_is_killed_loses_no_item(self, how: str) -> None:
        queue: Queue[int] = Queue()

        def get() -> int:
            with gcron.Timeout(0.005 if how == "timeout" else None, False):
                return queue.get()
            return -1

        gone, next_one = gcron.spawn(get), gcron.spawn(queue.get)
        gcron.sleep(0)
        if how == "kill":
            queue.put(7)
            gone.kill(block=False)
        else:
            gcron.sleep(0.01)
            queue.put(7)

        assert next_one.get(timeout=1) == 7
        assert queue.empty()

    def test_a_putter_that_is_killed_puts_nothing(self) -> None:
        queue: Queue[int] = Queue(1, [0])
        killed, next_one = gcron.spawn(queue.put, 1), gcron.spawn(queue.put, 2)
        gcron.sleep(0)
        assert queue.get() == 0
        killed.kill(block=False)
        next_one.join(timeout=1)

        assert queue.get_nowait() == 2

    def test_iteration_stops_at_stop_iteration(self) -> None:
        queue: Queue[Any] = Queue(items=[1, 2, StopIteration, 3])
        assert list(queue) == [1, 2]
        assert queue.get() == 3

    def test_join_waits_until_all_is_done(self) -> None:
        queue: Queue[int] = Queue(items=[1])
        assert queue.unfinished_tasks == 1
        assert queue.join(0.001) is False
        queue.task_done()
        assert queue.join() is True
        with pytest.raises(ValueError, match="too many"):
            queue.task_done()

    def test_a_subclass_may_store_items_its_own_way(self) -> None:
        class Set(Queue[int]):
            def _init(self, maxsize: Any) -> None:
                self.queue = set()

            def _put(self, item: int) -> None:
                self.queue.add(item)

            def _get(self) -> int:
                return int(self.queue.pop())

        queue = Set(items=[1, 1])
        queue.put(1)
        assert queue.get() == 1
        assert queue.empty()


class TestChannel:
    def test_put_returns_when_somebody_has_taken_it(self) -> None:
        channel: Channel[int] = Channel()
        putting = gcron.spawn(channel.put, 1)
        gcron.sleep(0)
        assert (putting.dead, channel.balance) == (False, 1)
        assert channel.get() == 1
        putting.join(timeout=1)
        assert putting.dead

    def test_an_item_for_a_getter_that_is_killed_goes_to_the_next(self) -> None:
        channel: Channel[int] = Channel()
        killed, next_one = gcron.spawn(channel.get), gcron.spawn(channel.get)
        gcron.sleep(0)
        channel.put(7)
        killed.kill(block=False)
        assert next_one.get(timeout=1) == 7

    def test_its_maxsize_is_one(self) -> None:
        assert Channel(1).qsize() == 0
        with pytest.raises(ValueError, match="got 5"):
            Channel(maxsize=5)

    def test_put_and_get_without_a_partner_time_out(self) -> None:
        channel: Channel[int] = Channel()
        with pytest.raises(Full):
            channel.put_nowait(1)
        with pytest.raises(Empty):
            channel.get(timeout=0.001)
        assert channel.balance == 0


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "kill-getter", "kill-putter", "turn"]), st.integers(0, 3)), max_size=40
)


@settings(max_examples=150)
@given(STEPS, st.sampled_from([None, 1, 2]))
def test_no_interleaving_of_puts_gets_and_kills_loses_or_repeats_or_reorders_an_item(
    steps: list[Step], maxsize: int | None
) -> None:
    """Items leave in the order of their puts. Kills lose none."""
    queue: Queue[int] = Queue(maxsize)
    putters: list[gcron.Greenlet] = []
    getters: list[gcron.Greenlet] = []
    got: list[int] = []
    put: deque[int] = deque()

    def putter(number: int) -> None:
        queue.put(number)
        put.append(number)

    def getter() -> None:
        got.append(queue.get())

    for number, (step, index) in enumerate(steps):
        if step == "put":
            putters.append(gcron.spawn(putter, number))
        elif step == "get":
            getters.append(gcron.spawn(getter))
        elif step == "turn":
            gcron.sleep(0)
        else:
            victims = getters if step == "kill-getter" else putters
            if index < len(victims):
                victims[index].kill(block=False)
    while not (all(putter.dead for putter in putters) and queue.empty()):
        gcron.sleep(0)
        with contextlib.suppress(Empty):  # what is there may be on its way to a getter
            got.append(queue.get_nowait())
    gcron.killall(getters)

    assert got == list(put)


class TestGroup:
    def test_a_pool_has_no_negative_size(self) -> None:
        with pytest.raises(ValueError, match="0 or more"):
            Pool(-1)

    def test_a_full_pool_refuses_and_leaks_no_place(self) -> None:
        pool = Pool(1)
        stop = Event()
        pool.spawn(stop.wait)
        for refuse in ({"blocking": False}, {"timeout": 0.001}):
            with pytest.raises(PoolFull):
                pool.add(gcron.Greenlet(int), **refuse)
        stop.set()
        assert pool.join(1) is True
        assert pool.free_count() == 1

    def test_spawn_waits_for_a_place(self) -> None:
        pool = Pool(2)
        most = 0

        def work() -> None:
            nonlocal most
            most = max(most, len(pool))
            gcron.sleep(0)

        for _ in range(10):
            pool.spawn(work)
        pool.join()
        assert most == 2

    def test_apply_async_never_waits_and_apply_from_a_member_runs_inline(self) -> None:
        pool = Pool(1)
        results = [pool.apply_async(pool.apply, (int, (str(number),))) for number in range(3)]
        assert [result.get(timeout=1) for result in results] == [0, 1, 2]

    def test_map_raises_the_first_error_and_the_iterables_own(self, capsys: Any) -> None:
        def broken() -> Any:
            yield 1
            raise KeyError("iterable")

        with pytest.raises(ZeroDivisionError):
            Group().map(lambda number: 1 // number, [1, 0, 2])
        with pytest.raises(KeyError):
            Group().map(int, broken())

    def test_imap_goes_on_after_an_error(self, capsys: Any) -> None:
        results = Group().imap(lambda number: 6 // number, [1, 0, 2])
        assert next(results) == 6
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == [3]

    def test_imap_unordered_is_completion_order(self) -> None:
        group = Group()
        assert list(group.imap_unordered(lambda n: (gcron.sleep(n / 100), n)[1], [3, 1, 2])) == [1, 2, 3]

    def test_maxsize_keeps_the_workers_from_running_ahead(self) -> None:
        started: list[int] = []
        results = Group().imap(started.append, range(10), maxsize=2)
        gcron.sleep(0.001)
        assert len(started) <= 3
        assert list(results) == [None] * 10

    def test_join_returns_whether_all_ended_and_may_raise(self, capsys: Any) -> None:
        group = Group()
        group.spawn(gcron.sleep, 0.05)
        assert group.join(0.001) is False
        assert group.join() is True
        group.spawn(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            group.join(raise_error=True)

    def test_kill_raises_once_in_each_member_even_if_it_is_caught(self) -> None:
        shots: list[int] = []

        def stubborn() -> None:
            try:
                Event().wait()
            except gcron.GreenletExit:
                shots.append(1)
                gcron.sleep(0.005)

        group = Group([gcron.spawn(stubborn) for _ in range(3)])
        gcron.sleep(0)
        group.kill(block=False)
        group.kill()
        assert shots == [1, 1, 1]
        assert len(group) == 0
