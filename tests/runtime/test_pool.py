"""Group and Pool: members, places, ends. Tests of what they share with ThreadPool are in test_workers.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gcron
from gcron.event import Event
from gcron.pool import Group, Pool, PoolFull
from gcron.queue import Full


def test_a_member_leaves_when_it_ends() -> None:
    group = Group()
    member = group.spawn(int)
    assert (len(group), member in group, list(group)) == (1, True, [member])
    member.join()
    assert (len(group), member in group, list(group)) == (0, False, [])


def test_a_member_that_is_killed_before_it_begins_leaves_at_once() -> None:
    group = Group()
    for member in (gcron.Greenlet(int), gcron.spawn(int), gcron.spawn_later(60, int)):
        group.add(member)
        member.kill(block=False)
        assert len(group) == 0


def test_add_makes_a_member_once_and_starts_nothing() -> None:
    group = Group()
    greenlet = gcron.Greenlet(int)
    group.add(greenlet)
    group.add(greenlet)
    assert (len(group), greenlet.started) == (1, False)
    group.discard(greenlet)
    group.discard(greenlet)
    assert len(group) == 0
    group.start(greenlet)
    assert (len(group), greenlet.started) == (1, True)
    assert group.join() is True


@pytest.mark.parametrize("make", [Group, lambda: Pool(1)])
def test_an_ended_greenlet_is_no_member(make: Any) -> None:
    group = make()
    ended = gcron.spawn(int)
    ended.join()
    group.add(ended)
    assert len(group) == 0
    assert group.join(timeout=1) is True
    assert group.apply(int) == 0


def test_killone_kills_only_members() -> None:
    group = Group()
    member, other, stranger = group.spawn(Event().wait), group.spawn(Event().wait), gcron.spawn(Event().wait)
    gcron.sleep(0)
    group.killone(member)
    group.killone(stranger)
    assert (member.dead, other.dead, stranger.dead, len(group)) == (True, False, False, 1)
    group.kill()
    stranger.kill()


def test_kill_raises_its_error_in_all_and_returns_after_its_timeout(capsys: Any) -> None:
    go_on = Event()

    def stubborn() -> None:
        try:
            Event().wait()
        except gcron.GreenletExit:
            go_on.wait()

    group = Group()
    members = [group.spawn(Event().wait) for _ in range(3)]
    gcron.sleep(0)
    group.kill(ValueError("enough"))
    assert [str(member.exception) for member in members] == ["enough"] * 3

    group.spawn(stubborn)
    gcron.sleep(0)
    group.kill(timeout=0.001)
    assert len(group) == 1
    go_on.set()
    assert group.join() is True


def test_kill_includes_members_started_by_dying_ones() -> None:
    group = Group()

    def start_another() -> None:
        try:
            Event().wait()
        finally:
            group.spawn(Event().wait)

    group.spawn(start_another)
    gcron.sleep(0)
    group.kill()
    assert len(group) == 0


def test_a_member_that_kills_its_group_dies_with_it() -> None:
    group = Group()
    other = group.spawn(Event().wait)
    killer = group.spawn(group.kill)
    gcron.joinall([killer, other], timeout=1)
    assert killer.dead
    assert other.dead


def test_a_killed_member_is_no_error_for_join(capsys: Any) -> None:
    group = Group()
    group.spawn(Event().wait).kill()
    killed = group.spawn(Event().wait)
    gcron.sleep(0)
    killed.kill(block=False)
    assert group.join(raise_error=True) is True
    group.spawn(int, "x")
    group.spawn(Event().wait)
    with pytest.raises(ValueError, match="invalid literal"):
        group.join(timeout=0.001, raise_error=True)
    group.kill()


def test_join_waits_for_members_added_meanwhile() -> None:
    group = Group()
    ends: list[int] = []

    def work(left: int) -> None:
        gcron.sleep(0)
        if left:
            group.spawn(work, left - 1)
        ends.append(left)

    group.spawn(work, 5)
    assert group.join() is True
    assert ends == [5, 4, 3, 2, 1, 0]


def test_places_are_counted() -> None:
    pool = Pool(2)
    stop = Event()
    assert (pool.size, pool.free_count(), pool.full(), pool.wait_available()) == (2, 2, False, 2)
    pool.spawn(stop.wait)
    pool.spawn(stop.wait)
    assert (pool.free_count(), pool.full(), pool.wait_available(timeout=0.001)) == (0, True, 0)
    stop.set()
    assert pool.wait_available(timeout=1) >= 1
    pool.join()
    assert (pool.free_count(), pool.full()) == (2, False)

    unlimited = Pool()
    assert (unlimited.size, unlimited.full(), unlimited.free_count(), unlimited.wait_available()) == (None, False, 1, 1)


def test_pool_full_is_a_full_and_nothing_was_started() -> None:
    assert issubclass(PoolFull, Full)
    pool = Pool(0)
    greenlet = gcron.Greenlet(int)
    for act in (pool.add, pool.start):
        for refuse in ({"blocking": False}, {"timeout": 0.001}, {"timeout": 0}):
            with pytest.raises(PoolFull):
                act(greenlet, **refuse)
    assert (greenlet.started, len(pool)) == (False, 0)


@pytest.mark.parametrize("wait_for_place", ["spawn", "add", "start", "apply", "map", "wait_available"])
@pytest.mark.parametrize("end", ["kill", "timeout"])
def test_a_killed_waiter_for_a_place_takes_none(wait_for_place: str, end: str) -> None:
    pool = Pool(1)
    stop = Event()
    pool.spawn(stop.wait)
    calls: dict[str, Any] = {
        "spawn": lambda: pool.spawn(int),
        "add": lambda: pool.add(gcron.Greenlet(int)),
        "start": lambda: pool.start(gcron.Greenlet(int)),
        "apply": lambda: pool.apply(int),
        "map": lambda: pool.map(int, "123"),
        "wait_available": pool.wait_available,
    }
    waiting = gcron.spawn(gcron.with_timeout, 0 if end == "timeout" else 100, calls[wait_for_place], timeout_value=None)
    gcron.sleep(0)
    stop.set()  # the place is its own from now on, and it does not live to use it
    waiting.kill()
    assert waiting.dead
    pool.join()
    assert (pool.free_count(), len(pool)) == (1, 0)
    assert pool.apply(max, (1, 2)) == 2


def test_a_greenlet_added_twice_at_once_has_one_place() -> None:
    pool = Pool(2)
    stop = Event()
    pool.spawn(stop.wait)
    pool.spawn(stop.wait)
    newcomer = gcron.Greenlet(int)
    adding = [gcron.spawn(pool.start, newcomer) for _ in range(2)]
    gcron.sleep(0)
    stop.set()
    gcron.joinall(adding)
    pool.join()
    assert pool.free_count() == 2


def test_a_killed_map_frees_its_places() -> None:
    pool = Pool(2)
    mapping = gcron.spawn(pool.map, lambda _: Event().wait(), range(10))
    gcron.sleep(0)
    gcron.sleep(0)
    mapping.kill()
    pool.kill()
    assert (pool.free_count(), len(pool)) == (2, 0)


def test_an_interrupted_next_of_imap_loses_no_result() -> None:
    go_on = Event()

    def wait_and_say(number: int) -> int:
        go_on.wait()
        return number

    for kind in (Pool.imap, Pool.imap_unordered):
        go_on.clear()
        results = kind(Pool(2), wait_and_say, range(5))
        with pytest.raises(gcron.Timeout), gcron.Timeout(0):
            next(results)
        go_on.set()
        assert sorted(results) == [0, 1, 2, 3, 4]


def test_members_are_of_its_greenlet_class() -> None:
    class Special(gcron.Greenlet):
        pass

    assert type(Pool(1, Special).spawn(int)) is Special
    assert type(Pool(greenlet_class=Special).spawn(int)) is Special


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(["spawn", "try", "end", "kill", "turn"]), st.integers(0, 5)), max_size=40))
def test_places_taken_and_free_always_add_up(steps: list[tuple[str, int]]) -> None:
    pool = Pool(2)
    started: list[tuple[gcron.Greenlet, Event]] = []
    spawners: list[gcron.Greenlet] = []

    def start() -> None:
        stop = Event()
        started.append((pool.spawn(stop.wait), stop))

    for step, index in steps:
        if step == "spawn":
            spawners.append(gcron.spawn(start))
        elif step == "try":
            greenlet = gcron.Greenlet(Event().wait)
            was_full = pool.full()
            try:
                pool.start(greenlet, blocking=False)
            except PoolFull:
                assert was_full
            else:
                assert not was_full
                started.append((greenlet, Event()))
        elif step == "end" and index < len(started):
            started[index][1].set()
        elif step == "kill":
            for victim in [*spawners[index : index + 1], *[member for member, _ in started[index : index + 1]]]:
                victim.kill(block=False)
        else:
            gcron.sleep(0)
        assert len(pool) <= 2
    gcron.killall(spawners)
    pool.kill()

    assert (pool.free_count(), len(pool)) == (2, 0)
