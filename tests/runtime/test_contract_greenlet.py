"""Greenlet, kill, links and waiting: the contract, line by line (docs/runtime.md)."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import gcron
from gcron import Greenlet, GreenletExit, Timeout
from gcron.event import AsyncResult, Event
from gcron.pool import Group


def add(a: int, b: int = 0) -> int:
    return a + b


def fail(error: BaseException) -> None:
    raise error


def with_new_hub(check: Callable[[], None]) -> None:
    """Call `check` in a thread, whose hub is new: that of this thread may have a minute's timer of another test."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(check).result()


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str]) -> Any:
    """Greenlets of these tests fail on purpose: take their tracebacks from the output."""
    yield capsys
    capsys.readouterr()


class TestStart:
    def test_spawn_runs_nothing_at_once_and_starts_are_first_in_first_out(self) -> None:
        order: list[int] = []
        greenlets = [gcron.spawn(order.append, number) for number in range(5)]
        assert order == []

        gcron.joinall(greenlets)
        assert order == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("start", [gcron.spawn, lambda thing: gcron.spawn_later(1, thing), Greenlet])
    def test_what_cannot_be_called_is_refused_at_once(self, start: Any) -> None:
        with pytest.raises(TypeError):
            start(5)

    def test_bool_started_and_dead_describe_its_state(self) -> None:
        greenlet = Greenlet(gcron.sleep, 0)
        assert (bool(greenlet), greenlet.started, greenlet.dead) == (False, False, False)

        greenlet.start()
        assert (bool(greenlet), greenlet.started, greenlet.dead) == (True, True, False)

        greenlet.join()
        assert (bool(greenlet), greenlet.started, greenlet.dead) == (False, False, True)

    def test_a_second_start_does_nothing(self) -> None:
        runs: list[int] = []
        greenlet = Greenlet(runs.append, 1)
        greenlet.start()
        greenlet.start()
        greenlet.join()
        greenlet.start()
        gcron.sleep(0)

        assert runs == [1]

    def test_arguments_arrive_also_in_run_of_a_subclass(self) -> None:
        class Adder(Greenlet):
            def _run(self, *numbers: int) -> int:
                return sum(numbers)

        assert gcron.spawn(add, 1, b=2).get() == 3
        assert Adder.spawn(None, 1, 2, 3).get() == 6

    def test_spawn_later_starts_later(self) -> None:
        order: list[str] = []
        later = gcron.spawn_later(0.02, order.append, "later")
        gcron.spawn(order.append, "now")
        later.join()

        assert order == ["now", "later"]


class TestResult:
    def test_get_raises_the_same_error_each_time_and_its_traceback_does_not_grow(self, quiet: Any) -> None:
        error = ValueError("once")
        greenlet = gcron.spawn(fail, error)
        depths = []
        for _ in range(3):
            with pytest.raises(ValueError, match="once") as caught:
                greenlet.get()
            assert caught.value is error
            depths.append(len(caught.traceback))

        assert len(set(depths)) == 1

    def test_get_without_block_or_after_its_timeout_raises_timeout(self) -> None:
        greenlet = gcron.spawn(Event().wait)
        with pytest.raises(Timeout):
            greenlet.get(block=False)
        with pytest.raises(Timeout):
            greenlet.get(timeout=0.001)
        greenlet.kill()

    def test_join_returns_none_and_never_raises_the_error(self, quiet: Any) -> None:
        assert gcron.spawn(fail, ValueError()).join(timeout=1) is None

    def test_an_uncaught_error_is_printed_and_the_loop_goes_on(self, capsys: Any) -> None:
        gcron.spawn(fail, ValueError("told")).join()

        told = capsys.readouterr().err
        assert "Traceback" in told
        assert "ValueError: told" in told
        assert told.rstrip().endswith("failed with ValueError")
        assert gcron.spawn(add, 1, 1).get() == 2

    def test_the_loop_goes_on_when_stderr_is_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken:
            def write(self, text: str) -> None:
                raise OSError("broken")

        monkeypatch.setattr(sys, "stderr", Broken())
        gcron.spawn(fail, ValueError()).join()

        assert gcron.spawn(add, 1, 1).get() == 2

    def test_exc_info_is_clean_inside_and_restored_outside(self) -> None:
        try:
            raise ValueError("outside")
        except ValueError as error:
            inside = gcron.spawn(sys.exc_info).get()
            outside = sys.exc_info()
            assert inside == (None, None, None)
            assert outside[1] is error

    def test_system_exit_reaches_the_main_greenlet(self) -> None:
        gcron.spawn(fail, SystemExit(7))
        with pytest.raises(SystemExit) as caught:
            gcron.sleep(1)
        assert caught.value.code == 7

    def test_it_runs_in_a_copy_of_the_spawners_context(self) -> None:
        from contextvars import ContextVar

        colour: ContextVar[str] = ContextVar("colour", default="none")
        colour.set("red")

        def change() -> str:
            seen = colour.get()
            colour.set("blue")
            return seen

        assert gcron.spawn(change).get() == "red"
        assert colour.get() == "red"


class TestKill:
    def test_a_killed_greenlet_is_successful_and_its_value_is_the_greenlet_exit(self, capsys: Any) -> None:
        greenlet = gcron.spawn(Event().wait)
        gcron.sleep(0)
        greenlet.kill()

        assert greenlet.dead
        assert greenlet.successful()
        assert isinstance(greenlet.get(), GreenletExit)
        assert capsys.readouterr().err == ""
        assert not issubclass(GreenletExit, Exception)

    def test_a_greenlet_killed_before_its_first_turn_never_runs_but_its_links_fire(self) -> None:
        ran: list[int] = []
        ended: list[Greenlet] = []
        greenlet = gcron.spawn(ran.append, 1)
        greenlet.rawlink(ended.append)
        greenlet.kill()
        gcron.sleep(0)

        assert (ran, ended) == ([], [greenlet])

    def test_kill_cancels_spawn_later(self) -> None:
        ran: list[int] = []
        greenlet = gcron.spawn_later(0.001, ran.append, 1)
        greenlet.kill()
        gcron.sleep(0.01)

        assert ran == []
        assert greenlet.dead

    @pytest.mark.parametrize("error", [ValueError, ValueError("instance")])
    def test_a_greenlet_killed_with_an_error_is_not_successful(self, error: Any, quiet: Any) -> None:
        greenlet = gcron.spawn(Event().wait)
        gcron.sleep(0)
        greenlet.kill(error)

        assert not greenlet.successful()
        with pytest.raises(ValueError):  # noqa: PT011 - the class is the point
            greenlet.get()

    def test_a_second_kill_does_nothing(self) -> None:
        greenlet = gcron.spawn(Event().wait)
        gcron.sleep(0)
        greenlet.kill()
        value = greenlet.value
        greenlet.kill(ValueError)

        assert greenlet.value is value

    @pytest.mark.parametrize("wrong", ["oops", 42, int, object(), None])
    def test_what_is_no_exception_is_refused_and_touches_nothing(self, wrong: Any) -> None:
        """`kill("oops")` raised AttributeError. The greenlet counted as killed, but ran."""
        waiting = gcron.spawn(Event().wait)
        gcron.sleep(0)
        for start in (partial(gcron.spawn, int), partial(gcron.spawn_later, 0.001, int), lambda: waiting):
            victim = start()
            group = Group([victim])
            for kill in (
                victim.kill,
                partial(gcron.kill, victim),
                partial(gcron.killall, [victim]),
                group.kill,
                partial(group.killone, victim),
                victim.throw,
            ):
                with pytest.raises(TypeError, match="only an exception"):
                    kill(wrong)
            assert not victim.dead
            if victim is not waiting:
                assert victim.get() == 0, "it runs as if nobody had tried"
            else:
                group.kill()
                assert victim.dead, "a group does not take it for killed already"

    def test_throw_takes_what_sys_exc_info_returns(self, quiet: Any) -> None:
        def wait() -> Any:
            try:
                Event().wait()
            except ValueError as error:
                return error, traceback.extract_tb(error.__traceback__)[-1].name

        def elsewhere() -> None:
            raise ValueError("with a traceback")

        try:
            elsewhere()
        except ValueError:
            raised = sys.exc_info()
        for arguments, text in (
            ((ValueError("an instance"),), "an instance"),
            ((ValueError, "an argument"), "an argument"),
            (raised, "with a traceback"),
        ):
            greenlet = gcron.spawn(wait)
            gcron.sleep(0)
            greenlet.throw(*arguments)
            assert str(greenlet.get()[0]) == text
        assert greenlet.get()[1] == "elsewhere"
        greenlet = gcron.spawn(int)
        greenlet.throw()
        assert isinstance(greenlet.get(), GreenletExit)

    def test_block_waits_for_the_end_and_no_block_does_not_switch(self) -> None:
        def slow_to_die() -> None:
            try:
                Event().wait()
            finally:
                gcron.sleep(0.01)

        greenlet = gcron.spawn(slow_to_die)
        gcron.sleep(0)
        greenlet.kill(block=False)
        assert not greenlet.dead
        greenlet.kill(block=True)
        assert greenlet.dead

    def test_kill_with_a_timeout_just_returns_and_killall_raises(self) -> None:
        def unkillable() -> None:
            while True:
                try:
                    stop.wait()
                    return
                except GreenletExit:
                    continue

        stop = Event()
        greenlet = gcron.spawn(unkillable)
        gcron.sleep(0)
        greenlet.kill(timeout=0.001)
        assert not greenlet.dead
        with pytest.raises(Timeout):
            gcron.killall(iter([greenlet]), timeout=0.001)
        stop.set()
        greenlet.join()

    def test_two_pending_exceptions_are_raised_one_after_the_other(self) -> None:
        seen: list[str] = []

        def stubborn() -> None:
            for _ in range(2):
                try:
                    Event().wait()
                except (KeyError, IndexError) as error:
                    seen.append(type(error).__name__)

        greenlet = gcron.spawn(stubborn)
        gcron.sleep(0)
        greenlet.kill(KeyError, block=False)
        greenlet.kill(IndexError, block=False)
        greenlet.join()

        assert seen == ["KeyError", "IndexError"]

    def test_an_exception_for_an_ended_greenlet_does_not_hit_the_next_on_its_carrier(self) -> None:
        """Carriers are reused: an exception for the last task must not reach the next one."""
        first = gcron.spawn(Event().wait)
        gcron.sleep(0)
        first.kill(GreenletExit, block=False)
        first.kill(KeyError, block=False)
        limit = gcron.spawn(lambda: Timeout(0.005).start())
        first.join()
        limit.join()
        later = [gcron.spawn(gcron.sleep, 0.02) for _ in range(5)]

        assert all(greenlet.get() is None for greenlet in later)


class TestBlock:
    """`with spawn(...)`: the greenlet does not outlive the block."""

    def test_the_end_of_the_block_waits_for_it(self) -> None:
        with gcron.spawn(gcron.sleep, 0.001) as greenlet:
            assert not greenlet.dead
        assert greenlet.successful()

    def test_an_error_of_the_block_is_raised_in_it_and_keeps_its_traceback(self, quiet: Any) -> None:
        with pytest.raises(KeyError) as raised, gcron.spawn(Event().wait) as greenlet:
            gcron.sleep(0)
            raise KeyError("block")
        assert greenlet.exception is raised.value
        assert [entry.name for entry in raised.traceback][-1] == sys._getframe().f_code.co_name

    def test_an_error_of_the_greenlet_is_not_raised_in_the_block(self, quiet: Any) -> None:
        with gcron.spawn(fail, KeyError("inside")) as greenlet:
            pass
        assert isinstance(greenlet.exception, KeyError)

    def test_keyboard_interrupt_in_the_block_is_raised_once(self) -> None:
        with pytest.raises(KeyboardInterrupt), gcron.spawn(Event().wait) as greenlet:
            gcron.sleep(0)
            raise KeyboardInterrupt
        assert isinstance(greenlet.value, GreenletExit)
        gcron.sleep(0.001)

    def test_a_timeout_during_the_wait_kills_it(self) -> None:
        with pytest.raises(Timeout), Timeout(0.001), gcron.spawn(Event().wait) as greenlet:
            pass
        assert isinstance(greenlet.value, GreenletExit)


class TestLinks:
    def test_callbacks_run_in_order_and_one_that_fails_stops_no_other(self, quiet: Any) -> None:
        order: list[int] = []
        greenlet = Greenlet(add, 1)
        greenlet.rawlink(lambda _: order.append(1))
        greenlet.rawlink(lambda _: fail(ValueError()))
        greenlet.rawlink(lambda _: order.append(3))
        greenlet.start()
        gcron.sleep(0)
        gcron.sleep(0)

        assert order == [1, 3]

    def test_a_link_runs_in_a_greenlet_of_its_own_and_may_block(self) -> None:
        done: AsyncResult[Any] = AsyncResult()

        def callback(source: Greenlet) -> None:
            gcron.sleep(0.001)
            done.set((source, gcron.getcurrent()))

        greenlet = gcron.spawn(add, 1)
        greenlet.link(callback)
        source, runner = done.get(timeout=1)

        assert source is greenlet
        assert isinstance(runner, Greenlet)
        assert runner is not greenlet

    def test_a_callback_in_the_hub_must_not_block(self, quiet: Any) -> None:
        greenlet = gcron.spawn(add, 1)
        greenlet.rawlink(lambda _: gcron.sleep(1))
        gcron.sleep(0.001)

        assert "must not block" in quiet.readouterr().err

    def test_linking_an_ended_greenlet_still_fires_but_not_at_once(self) -> None:
        fired: list[Any] = []
        greenlet = gcron.spawn(add, 1)
        greenlet.join()
        greenlet.rawlink(fired.append)
        assert fired == []

        gcron.sleep(0)
        assert fired == [greenlet]

    def test_unlink_prevents_a_call_even_when_it_is_due(self) -> None:
        fired: list[Any] = []
        greenlet = gcron.spawn(add, 1)
        greenlet.link(fired.append)
        greenlet.join()
        greenlet.rawlink(fired.append)
        greenlet.unlink(fired.append)
        gcron.sleep(0)

        assert len(fired) <= 1

    def test_link_value_and_link_exception_select_by_outcome(self, quiet: Any) -> None:
        told: list[str] = []
        killed = gcron.spawn(Event().wait)
        failed = gcron.spawn(fail, ValueError())
        for greenlet in (killed, failed):
            greenlet.link_value(lambda _: told.append("value"))
            greenlet.link_exception(lambda _: told.append("exception"))
        gcron.sleep(0)
        killed.kill()
        gcron.sleep(0.001)

        assert sorted(told) == ["exception", "value"]

    def test_an_async_result_is_a_link_target(self, quiet: Any) -> None:
        value, error = AsyncResult(), AsyncResult()
        gcron.spawn(add, 1, 2).link(value)
        gcron.spawn(fail, KeyError("k")).link(error)

        assert value.get(timeout=1) == 3
        with pytest.raises(KeyError):
            error.get(timeout=1)

    def test_linking_none_is_a_type_error(self) -> None:
        with pytest.raises(TypeError):
            gcron.spawn(add, 1).rawlink(None)  # type: ignore[arg-type]


class TestWaiting:
    def test_wait_returns_objects_in_the_order_in_which_they_became_ready(self) -> None:
        slow, quick = gcron.spawn(gcron.sleep, 0.02), gcron.spawn(gcron.sleep, 0.001)

        assert gcron.wait([slow, quick]) == [quick, slow]

    def test_count_and_timeout_return_partial_lists_and_raise_nothing(self) -> None:
        never, quick = Event(), gcron.spawn(gcron.sleep, 0)

        assert gcron.wait([never, quick], timeout=0.005) == [quick]
        assert gcron.wait([never, gcron.spawn(add, 1)], count=1) != []
        assert gcron.joinall([gcron.spawn(Event().wait)], timeout=0.001) == []

    def test_joinall_raises_the_earliest_error_in_time(self, quiet: Any) -> None:
        def fail_after(seconds: float, error: Exception) -> None:
            gcron.sleep(seconds)
            raise error

        late, early = gcron.spawn(fail_after, 0.02, KeyError()), gcron.spawn(fail_after, 0.001, IndexError())
        with pytest.raises(IndexError):
            gcron.joinall([late, early], raise_error=True)
        late.join()

    def test_wait_without_objects_runs_until_nothing_is_left(self) -> None:
        def check() -> None:
            ran: list[int] = []
            gcron.spawn_later(0.01, ran.append, 1)
            assert gcron.wait() is True
            assert ran == [1]
            gcron.spawn(gcron.sleep, 0.05)
            assert gcron.wait(timeout=0.001) is False

        with_new_hub(check)

    def test_a_main_that_nothing_can_wake_gets_loop_exit(self) -> None:
        def check() -> None:
            with pytest.raises(gcron.LoopExit):
                Event().wait()

        with_new_hub(check)
