"""The hub: timers, descriptors, threads, signals, forks, virtual time (docs/runtime.md)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult, Event
from gcron.queue import Queue
from gcron.runtime.hub import READ, WRITE, get_hub
from gcron.runtime.poller import EpollPoller, Poller, SelectorPoller
from gcron.runtime.timers import Timer, TimerHeap
from gcron.testing import VirtualClock
from gcron.threadpool import ThreadPool


def run_program(text: str, *arguments: str) -> tuple[int, str, str]:
    finished = subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return finished.returncode, finished.stdout, finished.stderr


class TestTimers:
    def test_timers_fire_by_deadline_and_then_in_the_order_they_were_set(self) -> None:
        heap = TimerHeap()
        for deadline, name in [(2.0, "c"), (1.0, "a"), (1.0, "b")]:
            heap.push(deadline, Timer(heap, print, (name,), True))
        before = heap.next_sequence()

        fired = [timer.args for timer in iter(lambda: heap.pop_due(5.0, before), None)]
        assert fired == [("a",), ("b",), ("c",)]

    def test_cancelled_timers_do_not_pile_up(self) -> None:
        heap = TimerHeap()
        for _ in range(10_000):
            timer = Timer(heap, print, (), True)
            heap.push(1e9, timer)
            timer.cancel()
        assert len(heap.entries) < 200

    def test_a_timer_that_sets_itself_again_at_once_does_not_stop_the_loop(self) -> None:
        hub = get_hub()
        rounds: list[int] = []

        def again() -> None:
            rounds.append(1)
            if not done.is_set():
                hub.call_later(0, again)

        done = Event()
        hub.call_later(0, again)
        gcron.sleep(0.005)
        done.set()
        assert len(rounds) > 1


@pytest.mark.parametrize("make", [EpollPoller, SelectorPoller])
class TestPoller:
    def test_a_descriptor_reports_once_per_arming(self, make: type[Poller]) -> None:
        poller, (left, right) = make(), socket.socketpair()
        with left, right:
            right.send(b"x")
            assert poller.arm(left.fileno(), READ)
            assert poller.poll(1) == [(left.fileno(), READ)]
            assert poller.poll(0) == []
            poller.arm(left.fileno(), READ | WRITE)
            assert poller.poll(1) == [(left.fileno(), READ | WRITE)]
        poller.close()

    def test_a_reused_descriptor_number_is_another_file(self, make: type[Poller]) -> None:
        """When others close a descriptor, the kernel forgets it. The poller must believe the kernel."""
        poller = make()
        for _ in range(3):
            left, right = socket.socketpair()
            with left, right:
                right.send(b"x")
                poller.arm(left.fileno(), READ)
                assert poller.poll(1) == [(left.fileno(), READ)]
        poller.close()

    def test_kinds_that_cannot_be_polled_are_always_ready(self, make: type[Poller], tmp_path: Any) -> None:
        poller = make()
        with (tmp_path / "file").open("w") as file:
            assert poller.arm(file.fileno(), WRITE) is False
        poller.close()


class TestDescriptors:
    def test_waiting_for_a_regular_file_returns_at_once(self, tmp_path: Any) -> None:
        with (tmp_path / "file").open("w") as file:
            assert get_hub().wait_io(file.fileno(), WRITE, 1) is True

    def test_closing_raises_the_error_in_waiters(self) -> None:
        reader, writer = os.pipe()
        waiting = gcron.spawn(get_hub().wait_io, reader, READ)
        gcron.sleep(0)
        get_hub().io.closing(reader, OSError(9, "closed"))
        os.close(reader)
        os.close(writer)
        with pytest.raises(OSError, match="closed"):
            waiting.get(timeout=1)

    def test_a_reader_and_a_writer_of_one_socket_wait_side_by_side(self) -> None:
        left, right = socket.socketpair()
        with left, right:
            reading = gcron.spawn(get_hub().wait_io, left.fileno(), READ, 5)
            writing = gcron.spawn(get_hub().wait_io, left.fileno(), WRITE, 5)
            assert writing.get(timeout=1) is True
            assert not reading.dead
            right.send(b"x")
            assert reading.get(timeout=1) is True

    def test_watching_a_closed_descriptor_raises(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.close(writer)
        with pytest.raises(OSError, match="Bad file"):
            get_hub().wait_io(reader, READ, 1)

    def test_io_is_polled_while_the_loop_is_busy(self) -> None:
        reader, writer = os.pipe()
        waiting = gcron.spawn(get_hub().wait_io, reader, READ)
        gcron.sleep(0)
        os.write(writer, b"x")
        turns = 0
        while not waiting.dead and turns < 100_000:
            gcron.sleep(0)
            turns += 1
        os.close(reader)
        os.close(writer)
        assert waiting.dead


class TestThreads:
    def test_a_thread_wakes_a_loop_that_waits(self) -> None:
        result: AsyncResult[str] = AsyncResult()
        hub = get_hub()
        release = hub.hold()
        threading.Timer(0.02, hub.call_soon_threadsafe, (result.set, "woken")).start()
        assert result.get(timeout=10) == "woken"
        release()

    def test_the_thread_pool_runs_beside_the_loop_and_passes_errors_on(self) -> None:
        pool = gcron.get_hub().threadpool
        sleeping = pool.spawn(time.sleep, 0.05)
        ticks = 0
        while not sleeping.ready():
            gcron.sleep(0.005)
            ticks += 1
        assert ticks >= 3
        with pytest.raises(ZeroDivisionError):
            pool.apply(divmod, (1, 0))

    def test_a_pool_of_one_thread_does_its_work_in_order(self) -> None:
        pool = ThreadPool(1)
        order: list[int] = []
        results = [pool.spawn(order.append, number) for number in range(20)]
        for result in results:
            result.get(timeout=10)
        pool.kill()
        assert order == list(range(20))

    def test_each_thread_has_a_hub_whose_descriptors_are_closed_with_it(self) -> None:
        def work() -> None:
            gcron.sleep(0.001)
            hubs.append(get_hub())
            values.append(gcron.spawn(lambda: 7).get())

        gcron.sleep(0.001)
        hubs: list[Any] = []
        values: list[int] = []
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(timeout=10)
        assert values == [7, 7, 7]
        assert get_hub() not in hubs
        assert set(os.listdir("/proc/self/fd")) == before


class TestSignals:
    def test_a_handler_runs_in_the_hub_and_cancel_restores_the_disposition(self) -> None:
        before = signal.getsignal(signal.SIGUSR1)
        seen: list[str] = []
        handler = get_hub().signals.handle(signal.SIGUSR1, seen.append, "usr1")
        os.kill(os.getpid(), signal.SIGUSR1)
        gcron.sleep(0.01)
        handler.cancel()
        assert seen == ["usr1"]
        assert signal.getsignal(signal.SIGUSR1) is before

    def test_it_wakes_a_loop_that_waits(self) -> None:
        event = Event()
        handler = get_hub().signals.handle(signal.SIGALRM, event.set)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            assert event.wait(10)
        finally:
            handler.cancel()

    @pytest.mark.parametrize(
        "before",
        [
            "",
            "get_hub().signals.handle(signal.SIGUSR1, print).cancel()",
            "os.fork() and os._exit(os.waitstatus_to_exitcode(os.wait()[1]))",
        ],
        ids=["at first", "after a handler of the hub's", "in a forked child"],
    )
    def test_a_programs_own_handler_wakes_a_loop_that_waits(self, before: str) -> None:
        """A handler by `signal.signal` that spawned a greenlet did nothing until something else woke the loop: Python
        goes on blocking after it. A program stopped its scheduler so, and SIGTERM was obeyed at the next job."""
        program = f"""if True:
            import gcron, os, signal, time
            from gcron.event import Event
            from gcron.runtime.hub import get_hub
            gcron.sleep(0.001)
            {before or "pass"}
            event = Event()
            signal.signal(signal.SIGALRM, lambda *_: gcron.spawn(event.set))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            began = time.monotonic()
            print(event.wait(8) and time.monotonic() - began < 4)
        """
        assert run_program(program) == (0, "True\n", "")

    def test_a_main_that_waits_for_a_signal_gets_no_loop_exit(self) -> None:
        """Supervising programs are written like this. They got LoopExit: the loop did not know the handler."""
        program = """if True:
            import os, signal, threading
            import gcron
            from gcron.event import Event
            stop = Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            print(stop.wait())
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                Event().wait()
            except gcron.LoopExit:
                print("nobody is left")
        """
        assert run_program(program) == (0, "True\nnobody is left\n", "")

    def test_signal_handler_calls_in_a_greenlet(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="nothing")
        variable.set("set by who asked")
        done: Queue[Any] = Queue()

        def handle(*args: Any, key: str) -> None:
            gcron.sleep(0.001)
            done.put((args, key, variable.get()))

        handler = gcron.signal_handler(signal.SIGUSR1, handle, 1, 2, key="value")
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert done.get(timeout=5) == ((1, 2), "value", "set by who asked")
        handler.cancel()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        with pytest.raises(TypeError, match="got 5"):
            gcron.signal_handler(signal.SIGUSR1, 5)  # type: ignore[arg-type]

    def test_another_event_loop_of_the_thread_keeps_its_wakeup_fd(self) -> None:
        program = """if True:
            import gcron, os, signal
            theirs, mine = os.pipe()
            os.set_blocking(mine, False)
            signal.set_wakeup_fd(mine)
            gcron.sleep(0.001)
            print(signal.set_wakeup_fd(-1) == mine)
        """
        assert run_program(program) == (0, "True\n", "")

    @pytest.mark.parametrize("blocked", ["gcron.spawn(Event().wait).get()", "Event().wait()", "gcron.sleep(60)"])
    def test_ctrl_c_interrupts_a_main_that_waits(self, blocked: str) -> None:
        program = f"""if True:
            import gcron, os, signal, sys, threading, time
            from gcron.event import Event
            gcron.spawn_later(60, print)
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                {blocked}
            except KeyboardInterrupt:
                print("interrupted")
        """
        assert run_program(program) == (0, "interrupted\n", "")

    def test_ctrl_c_in_a_busy_greenlet_reaches_the_main_one(self) -> None:
        program = """if True:
            import gcron, os, signal
            def busy():
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    pass
            try:
                gcron.spawn(busy).join()
            except KeyboardInterrupt:
                print("interrupted")
        """
        status, out, _ = run_program(program)
        assert (status, out) == (0, "interrupted\n")

    def test_the_loop_goes_on_after_an_exception_in_its_own_turn(self) -> None:
        """After a KeyboardInterrupt in a timer's callback the loop had no turn any more: no timer fired again."""
        program = """if True:
            import gcron
            def interrupt():
                raise KeyboardInterrupt
            gcron.get_hub().call_later(0.001, interrupt)
            try:
                gcron.sleep(60)
            except KeyboardInterrupt:
                gcron.sleep(0.001)
                beside = gcron.spawn(gcron.sleep, 0.001)
                beside.join()
                print("alive")
        """
        assert run_program(program) == (0, "alive\n", "")

    def test_ctrl_c_between_two_steps_of_the_loop_loses_no_greenlet(self) -> None:
        """An exception between taking an entry from the ring and switching to it would lose that greenlet."""
        program = """if True:
            import gcron, os, signal, sys
            ended = []
            def stepping(frame, event, argument):
                # Just before the switch: the entry is no longer in the ring, and has not run yet.
                if frame.f_code.co_name == "park" and event == "line" and not sent and frame.f_lineno >= switch_line:
                    sent.append(1)
                    # As the interpreter would call it here. A real signal would report this frame instead.
                    signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)
                return stepping
            sent = []
            from gcron.runtime import ring
            switch_line = next(number for number, line in enumerate(open(ring.__file__), 1)
                               if "successor.switch()" in line)
            for number in range(5):
                gcron.spawn(ended.append, number)
            try:
                gcron.sleep(0.001)  # the loop waits once, and takes Ctrl-C over
                sleepers = [gcron.spawn(gcron.sleep, 0.01) for _ in range(5)]
                sys.settrace(stepping)
                gcron.sleep(0.005)
                gcron.sleep(0.1)
            except KeyboardInterrupt:
                sys.settrace(None)
                gcron.joinall(sleepers, timeout=5)
                print("interrupted", sum(sleeper.dead for sleeper in sleepers), len(ended), len(sent))
        """
        status, out, err = run_program(program)
        assert (status, out) == (0, "interrupted 5 5 1\n"), err


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """With a shared epoll descriptor, each process would take the other's events."""
    gcron.sleep(0.001)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            gcron.spawn_later(0.01, os.write, writer, b"child")
            status = 0 if get_hub().wait_io(reader, READ, 5) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert get_hub().wait_io(reader, READ, 5)
    os.close(reader)
    os.close(writer)


class TestVirtualTime:
    def test_a_year_of_sleep_takes_no_time(self) -> None:
        started = time.monotonic()
        with VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)).installed() as clock:
            for _ in range(365):
                gcron.sleep(86_400)
            assert clock.datetime == datetime(2027, 1, 1, tzinfo=UTC)
        assert time.monotonic() - started < 5

    def test_virtual_time_does_not_jump_while_somebody_waits_for_a_process(self) -> None:
        from gcron.subprocess import call

        with VirtualClock(0).installed() as clock:
            later = gcron.spawn(gcron.sleep, 1000)
            assert call(["sleep", "0.02"]) == 0
            assert clock.now() < 1000
            later.kill()

    def test_greenlets_wake_in_the_order_of_virtual_time(self) -> None:
        order: list[int] = []

        def nap(hours: int) -> None:
            gcron.sleep(hours * 3600)
            order.append(hours)

        with VirtualClock(0).installed():
            gcron.joinall([gcron.spawn(nap, hours) for hours in (3, 1, 2)])
        assert order == [1, 2, 3]
