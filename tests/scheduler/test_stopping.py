"""From start to end: bounded stops, Ctrl-C, the end of the program, and starting again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from gcron.errors import GcronError, StateError
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.state.memory import MemoryStore
from gcron.supervise.timing import Timing
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE, takes, until


class Program:
    """A Python program whose stdout is read line by line."""

    def __init__(self, text: str) -> None:
        begin = "import gcron, os, signal, sys, threading, time\nsay = lambda *words: print(*words, flush=True)\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", begin + text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def read_error(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.readline().rstrip("\n")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()
        return self._process.returncode, out, err


# -- bounded ----------------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_stop_from_another_thread_names_the_job_that_blocks_the_loop(make_scheduler: Any) -> None:
    """`stop(grace=1)` with a greenlet job in `time.sleep(20)` took 20 s and reported nothing. With an endless job it
    never returned.
    """
    scheduler, _ = make_scheduler(watchdog=None)
    may_end = threading.Event()
    blocks = threading.Event()

    def endless() -> None:
        blocks.set()
        may_end.wait(PATIENCE)

    scheduler.job("@reboot", greenlet=True, kill_after=0)(endless)
    scheduler.start_thread(grace=0)
    assert blocks.wait(PATIENCE)
    with takes(at_most=5):
        report = scheduler.stop(grace=0)
    (left,) = report.left_behind
    assert left.startswith("job endless, which blocks the scheduler's thread at ")
    may_end.set()
    scheduler.stop()


def test_a_stop_without_waiting_returns_at_once(make_scheduler: Any) -> None:
    """A job in a thread that stops its own scheduler waited for itself. `gcron.spawn(scheduler.stop)`, as the docs
    advised, did nothing there: the thread had ended before the greenlet began.
    """
    scheduler, recorder = make_scheduler()
    scheduler.job("@reboot", name="job")(lambda: scheduler.stop(wait=False))
    scheduler.run()
    assert recorder.outcomes("job") == ["succeeded"]
    assert scheduler.has_stopped


@pytest.mark.parametrize("grace", ["0s", 0])
def test_the_grace_may_be_a_text(make_scheduler: Any, grace: Any) -> None:
    scheduler, _ = make_scheduler()
    scheduler.start()
    assert scheduler.stop(grace).killed == ()


# -- Ctrl-C -----------------------------------------------------------------------------------------------------


def test_ctrl_c_during_the_start_stops_the_jobs_that_have_begun(make_scheduler: Any) -> None:
    """They were abandoned, and the user saw a traceback through gcron."""

    class Interrupted:
        def start(self) -> None:
            raise KeyboardInterrupt

        def stop(self) -> None:
            pass

    scheduler, recorder = make_scheduler()
    scheduler.job("@reboot", name="job", greenlet=True)(lambda: sleep(1000))
    scheduler.use_messenger(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        scheduler.run(grace=0)
    assert scheduler.has_stopped
    assert recorder.outcomes("job") == ["killed"]


@pytest.mark.parametrize("job", ["greenlet=True", "greenlet=False"])
def test_ctrl_c_twice_ends_a_program_without_our_internals(job: str) -> None:
    """A program with a job that does not end was silent for 30 s after Ctrl-C. A second one ended it, with a traceback
    through 40 lines of gcron.
    """
    program = Program(f"""
scheduler = gcron.Scheduler(watchdog=None)

@scheduler.job("@reboot", {job})
def stubborn():
    if {job.endswith("True")}:
        gcron.spawn_later(0.05, say, "begun")
        gcron.sleep(1000)
    say("begun")
    while True:
        time.sleep(0.01)

scheduler.run()
""")
    assert program.read() == "begun"
    program.interrupt()
    said = program.read_error()
    assert said == "stopping: waits up to 30 s for stubborn; Ctrl-C again ends them at once"
    program.interrupt()
    status, _, errors = program.end()
    assert status == -signal.SIGINT
    assert "During handling" not in errors
    assert "greenlet.py" not in errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("File ") <= 2, errors


@pytest.mark.parametrize("raised_by", ["job", "observer"])
def test_a_keyboard_interrupt_that_is_raised_elsewhere_ends_no_scheduler(make_scheduler: Any, raised_by: str) -> None:
    """Under `start_thread`, a greenlet job that raised KeyboardInterrupt ended the scheduler for good. Ctrl-C comes to
    the main thread only.
    """
    scheduler, _ = make_scheduler(logger=None)

    def interrupt(*event: object) -> None:
        raise KeyboardInterrupt

    if raised_by == "observer":
        scheduler.on("run-started", interrupt)
    scheduler.job("@manual", name="job", greenlet=True)(interrupt if raised_by == "job" else lambda: None)
    scheduler.start_thread(grace=0)
    for _ in range(2):
        result = scheduler.trigger("job").result.get(timeout=PATIENCE)
        assert str(result.outcome) == ("failed" if raised_by == "job" else "succeeded")


# -- the end of the program -------------------------------------------------------------------------------------


def test_a_program_that_ends_without_a_stop_leaves_no_command_behind() -> None:
    """After `start()` without `stop()`, the commands under way went on as orphans."""
    program = Program("""
scheduler = gcron.Scheduler(logger=None)
scheduler.command("exec sleep 1000", "@reboot", name="long")
scheduler.on("process-started", lambda event: say(event.pid))
scheduler.on("run-finished", lambda event: say(event.result.outcome))
scheduler.start(grace=0.1)
gcron.sleep(0.5)
""")
    pid = int(program.read())
    assert program.end() == (0, "killed\n", "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# -- starting again ---------------------------------------------------------------------------------------------


def test_a_scheduler_starts_again_after_a_stop(clock: VirtualClock, make_scheduler: Any) -> None:
    """It could start once only: a program that suspends its jobs for a while had to make them all again."""
    scheduler, recorder = make_scheduler(clock=clock)
    ran: list[float] = []
    begin = clock.now()
    scheduler.group("db", limit=1)
    scheduler.job("@hourly", name="job", group="db", greenlet=True)(lambda: ran.append(clock.now() - begin))
    scheduler.job("@hourly", name="paused", greenlet=True)(lambda: ran.append(-1))
    scheduler.job("@service", name="service", greenlet=True)(lambda: sleep(1e6))
    scheduler.pause("paused")
    for _ in range(3):
        scheduler.start()
        sleep(3600)
        assert scheduler.status("service").service.state == "ready"
        assert scheduler.stop(0).left_behind == ()
        sleep(36_000)
        with pytest.raises(StateError, match="has stopped"):
            scheduler.trigger("job")
    assert ran == [3600, 3600 + 39600, 3600 + 2 * 39600]
    assert scheduler.counts.of("job").succeeded == 3
    assert recorder.outcomes("job") == ["succeeded"] * 3, "each event comes once"
    assert scheduler.status("paused").is_paused


def test_a_scheduler_starts_again_in_another_thread(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    scheduler.job("@manual", name="job", greenlet=True)(threading.get_ident)
    threads = set()
    for start in (scheduler.start, scheduler.start_thread, scheduler.start_thread):
        start()
        threads.add(scheduler.trigger("job").result.get(timeout=PATIENCE).value)
        scheduler.stop()
    assert len(threads) >= 2
    assert threading.get_ident() in threads


def test_a_started_scheduler_does_not_start_again(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    scheduler.start()
    with pytest.raises(RuntimeError, match="is started already"):
        scheduler.start()


def test_a_scheduler_with_a_store_of_its_own_starts_once(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler(state=MemoryStore())
    scheduler.start()
    scheduler.stop()
    with pytest.raises(RuntimeError, match="starts once: its store is closed"):
        scheduler.start()


def test_a_job_is_not_added_during_a_stop(make_scheduler: Any) -> None:
    """It was accepted, and never ran. After the stop it is accepted: the scheduler may start again."""
    scheduler, _ = make_scheduler(timing=Timing(observer=0.1))
    errors: list[BaseException] = []

    def add_one(event: Any) -> None:
        try:
            scheduler.command("true", "@daily", name="late")
        except GcronError as error:
            errors.append(error)

    scheduler.on("run-finished", add_one)
    scheduler.command("sleep 1000", "@reboot", name="job")
    scheduler.start()
    until(lambda: scheduler.running())
    scheduler.stop(0)
    assert [str(error) for error in errors] == ["the scheduler is stopping"]
    assert scheduler.command("true", "@daily", name="after").name == "after"


def test_the_state_of_a_scheduler_shows_in_one_short_line(make_scheduler: Any) -> None:
    """There was none, and that of a `JobStatus` had 1,000 characters."""
    scheduler: Scheduler
    scheduler, _ = make_scheduler(timezone="UTC")
    scheduler.command("true", "@daily", name="job")
    assert repr(scheduler) == "<Scheduler: 1 jobs, 0 running, not started>"
    scheduler.start()
    assert repr(scheduler) == "<Scheduler: 1 jobs, 0 running, started>"
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    text = repr(scheduler.status("job"))
    assert text.startswith("<JobStatus job: next at 20")
    assert text.endswith("Z, 0 running, 1 succeeded>")
    scheduler.stop()
    assert repr(scheduler).endswith("stopped>")


def test_a_part_that_cannot_be_stopped_keeps_no_other_from_its_end(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of what answers at the socket left the store open, and the scheduler never had stopped.

    What the program had stopped itself was stopped again.
    """
    ended: list[str] = []

    class Served:
        def __init__(self, name: str) -> None:
            self.name = name

        def stop(self) -> None:
            ended.append(self.name)
            raise OSError(f"{self.name} is gone")

    monkeypatch.setattr("gcron.control.socket.serve_control", lambda scheduler, path: Served(path))
    scheduler = Scheduler(clock=clock, logger=None)
    scheduler.start()
    scheduler.serve_control("first")
    scheduler.serve_control("second")
    third = scheduler.serve_control("third")
    with pytest.raises(OSError, match="third is gone"):
        third.stop()
    scheduler.stop()
    assert scheduler.has_stopped
    assert ended == ["third", "first", "second"]
    third.stop()
    assert ended == ["third", "first", "second"]
    assert "first is gone" in capsys.readouterr().err
