"""Event, AsyncResult, Timeout, semaphores, RLock, local: the contract, line by line (docs/runtime.md)."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import pytest

import gcron
from gcron import Timeout, with_timeout
from gcron.event import AsyncResult, Event
from gcron.local import local
from gcron.lock import BoundedSemaphore, RLock, Semaphore


class TestEvent:
    def test_set_and_clear_without_a_switch_still_wakes_all_who_waited(self) -> None:
        event = Event()
        waiting = [gcron.spawn(event.wait, 1) for _ in range(3)]
        gcron.sleep(0)
        event.set()
        event.clear()
        late = gcron.spawn(event.wait, 0.001)

        assert [greenlet.get() for greenlet in waiting] == [True, True, True]
        assert late.get() is False

    def test_wait_says_whether_it_was_set(self) -> None:
        event = Event()
        assert event.wait(0.001) is False
        event.set()
        assert event.wait() is True


class TestAsyncResult:
    def test_wait_returns_none_on_timeout_and_on_an_error(self) -> None:
        result: AsyncResult[int] = AsyncResult()
        assert result.wait(timeout=0.001) is None
        result.set_exception(ValueError())
        assert result.wait() is None

    def test_there_is_no_value_yet(self) -> None:
        result: AsyncResult[int] = AsyncResult()
        assert result.exc_info == ()
        for get in (result.get_nowait, lambda: result.get(block=False), lambda: result.get(timeout=0.001)):
            with pytest.raises(Timeout):
                get()

    def test_a_second_set_overrides(self) -> None:
        result: AsyncResult[int] = AsyncResult()
        result.set(1)
        result.set(2)
        assert result.get() == 2
        result.set_exception(KeyError("k"))
        with pytest.raises(KeyError):
            result.get()
        assert result.exc_info[0] is KeyError
        result.set(3)
        assert (result.get(), result.exc_info) == (3, ())

    def test_repeated_get_does_not_grow_the_traceback(self) -> None:
        result: AsyncResult[int] = AsyncResult()
        result.set_exception(ValueError())
        depths = set()
        for _ in range(3):
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                result.get()
            depths.add(len(caught.traceback))
        assert len(depths) == 1

    def test_none_is_a_value(self) -> None:
        result: AsyncResult[None] = AsyncResult()
        result.set(None)
        assert result.ready()
        assert result.get() is None


class TestTimeout:
    def test_except_exception_does_not_catch_a_timeout(self) -> None:
        assert not issubclass(Timeout, Exception)

    def test_false_is_silent_as_a_context_manager_only(self) -> None:
        with Timeout(0.001, False):
            gcron.sleep(1)
        limit = Timeout.start_new(0.001, False)
        with pytest.raises(Timeout) as caught:
            gcron.sleep(1)
        assert caught.value is limit

    @pytest.mark.parametrize("error", [KeyError, KeyError("k")])
    def test_another_exception_may_be_raised_instead(self, error: Any) -> None:
        with pytest.raises(KeyError), Timeout(0.001, error):
            gcron.sleep(1)

    def test_none_never_fires_and_zero_fires_at_the_next_turn(self) -> None:
        with Timeout(None):
            gcron.sleep(0.001)
        with pytest.raises(Timeout), Timeout(0):
            while True:
                gcron.sleep(0)

    def test_nested_timeouts_fire_in_order_and_pending_is_right(self) -> None:
        with pytest.raises(Timeout) as caught, Timeout(0.05) as outer:
            inner = Timeout.start_new(0.001)
            assert outer.pending
            assert inner.pending
            gcron.sleep(1)
        assert caught.value is inner
        assert not inner.pending
        assert not outer.pending

    def test_it_can_be_restarted_after_it_fired_but_not_while_pending(self) -> None:
        limit = Timeout(0.001)
        for _ in range(2):
            limit.start()
            with pytest.raises(ValueError, match="started"):
                limit.start()
            with pytest.raises(Timeout):
                gcron.sleep(1)

    def test_with_timeout_swallows_only_its_own(self) -> None:
        assert with_timeout(0.001, gcron.sleep, 1, timeout_value="late") == "late"
        assert with_timeout(1, lambda: "in time", timeout_value="late") == "in time"
        with pytest.raises(Timeout) as caught, Timeout(0.001) as outer:
            with_timeout(1, gcron.sleep, 1, timeout_value="late")
        assert caught.value is outer

    def test_timeout_arguments_may_be_timeout_objects(self) -> None:
        limit = Timeout(0.001)
        with pytest.raises(Timeout) as caught:
            AsyncResult().get(timeout=limit)
        assert caught.value is limit
        assert Event().wait(Timeout(0.001)) is False

    def test_one_without_ref_is_no_work_left_to_do(self) -> None:
        limit = Timeout.start_new(60, ref=False)
        gcron.spawn(gcron.sleep, 60, ref=False)
        assert gcron.wait(timeout=5)
        limit.cancel()

    def test_a_timeout_of_an_ended_greenlet_is_raised_nowhere(self) -> None:
        gcron.spawn(lambda: Timeout(0.001).start()).join()
        gcron.sleep(0.005)


class TestSemaphore:
    def test_a_releaser_that_acquires_again_does_not_overtake_waiters(self) -> None:
        semaphore = Semaphore(1)
        order: list[str] = []

        def greedy() -> None:
            for _ in range(3):
                with semaphore:
                    order.append("greedy")
                    gcron.sleep(0)

        def patient() -> None:
            with semaphore:
                order.append("patient")

        gcron.joinall([gcron.spawn(greedy), gcron.spawn(patient)])
        assert order == ["greedy", "patient", "greedy", "greedy"]

    def test_acquire_returns_false_and_never_switches_if_not_blocking(self) -> None:
        semaphore = Semaphore(0)
        beside = gcron.spawn(int)
        assert semaphore.acquire(False) is False
        assert not beside.dead
        assert semaphore.acquire(timeout=0.001) is False

    def test_a_permit_of_a_killed_waiter_goes_to_the_next(self) -> None:
        semaphore = Semaphore(0)
        killed, next_one = gcron.spawn(semaphore.acquire), gcron.spawn(semaphore.acquire)
        gcron.sleep(0)
        semaphore.release()
        killed.kill(block=False)

        assert next_one.get(timeout=1) is True
        assert semaphore.counter == 0

    def test_releasing_a_bounded_one_too_often_is_an_error(self) -> None:
        semaphore = BoundedSemaphore(1)
        with semaphore:
            pass
        with pytest.raises(ValueError, match="too many"):
            semaphore.release()

    def test_an_rlock_belongs_to_its_greenlet(self) -> None:
        lock = RLock()
        with lock, lock:
            assert gcron.spawn(lock.acquire, False).get() is False
            stranger = gcron.spawn(_error_of, lock.release)
            assert isinstance(stranger.get(), RuntimeError)
        assert not lock.locked()


def _error_of(function: Any) -> BaseException | None:
    try:
        function()
    except Exception as error:
        return error
    return None


class TestLocal:
    def test_each_greenlet_has_its_own_attributes(self) -> None:
        stash = local()
        stash.name = "main"
        assert gcron.spawn(getattr, stash, "name", "nothing").get() == "nothing"
        assert stash.name == "main"

    def test_values_are_freed_when_the_greenlet_ends_even_if_it_is_held(self) -> None:
        class Value:
            pass

        stash = local()
        seen: list[weakref.ref[Value]] = []

        def keep() -> None:
            stash.value = Value()
            seen.append(weakref.ref(stash.value))

        greenlet = gcron.spawn(keep)
        greenlet.join()
        gc.collect()
        assert seen[0]() is None
        assert greenlet.dead

    def test_a_subclass_is_initialised_again_in_each_greenlet(self) -> None:
        class Request(local):
            def __init__(self, user: str, *, admin: bool = False) -> None:
                self.user, self.admin = user, admin

        request = Request("guest", admin=True)
        request.user = "root"
        assert gcron.spawn(lambda: (request.user, request.admin)).get() == ("guest", True)
        assert request.user == "root"

    def test_arguments_need_an_initialiser(self) -> None:
        with pytest.raises(TypeError):
            local(1)

    def test_dict_cannot_be_assigned_and_slots_are_shared(self) -> None:
        class Slotted(local):
            __slots__ = ("shared",)

        stash = Slotted()
        stash.shared = 1
        stash.own = 2
        assert gcron.spawn(lambda: (stash.shared, hasattr(stash, "own"))).get() == (1, False)
        with pytest.raises(AttributeError):
            stash.__dict__ = {}
        assert stash.__dict__ == {"own": 2}

    def test_a_copy_has_the_same_values_and_is_independent(self) -> None:
        stash = local()
        stash.value = 1
        duplicate = copy.copy(stash)
        duplicate.value = 2
        assert (stash.value, duplicate.value) == (1, 2)

    def test_a_copy_of_a_subclass_has_its_slots(self) -> None:
        """They were lost, and reading one raised AttributeError."""

        class Base(local):
            __slots__ = ("__private", "public", "unset")

            def __init__(self, private: int) -> None:
                self.__private = private

            def private(self) -> int:
                return self.__private

        class Derived(Base):
            __slots__ = ("own",)

        stash = Derived(1)
        stash.public, stash.own, stash.value = 2, 3, 4
        duplicate = copy.copy(stash)
        assert (duplicate.private(), duplicate.public, duplicate.own, duplicate.value) == (1, 2, 3, 4)
        duplicate.public = 5
        assert stash.public == 2
        assert not hasattr(duplicate, "unset")

    def test_properties_and_deleting_work_as_on_any_object(self) -> None:
        class Doubling(local):
            number = 1

            @property
            def double(self) -> int:
                return int(self.number) * 2

        stash = Doubling()
        stash.number = 4
        assert stash.double == 8
        del stash.number
        assert stash.double == 2
        with pytest.raises(AttributeError):
            del stash.number
