"""Schedulers and threads: jobs in threads, a scheduler in its own thread, calls from other threads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gcron
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Outcome, RunFinished, Scheduler
from gcron.supervise import python_call
from gcron.supervise.python_call import PythonCall
from tests.waiting import PATIENCE, until


@pytest.fixture
def background() -> Iterator[Callable[..., Scheduler]]:
    """Make schedulers with their own threads. They are stopped after the test."""
    made: list[Scheduler] = []

    def make(*define: Callable[[Scheduler], object], **options: Any) -> Scheduler:
        scheduler = Scheduler(**options)
        made.append(scheduler)
        for step in define:
            step(scheduler)
        scheduler.start_thread()
        return scheduler

    yield make
    for scheduler in made:
        scheduler.stop(grace=0)


# -- jobs in threads -------------------------------------------------------------------------------------------


def test_a_job_in_a_thread_can_block_without_delaying_others(make_scheduler: Any) -> None:
    scheduler, recorder = make_scheduler()
    may_go_on = threading.Event()

    @scheduler.job("@manual")
    def blocking() -> int:
        assert may_go_on.wait(PATIENCE)
        return threading.get_ident()

    @scheduler.job("@manual", greenlet=True)
    def quick() -> None:
        may_go_on.set()

    scheduler.start()
    run = scheduler.trigger("blocking")
    scheduler.trigger("quick").result.get(timeout=PATIENCE)
    result = run.result.get(timeout=PATIENCE)
    assert result.succeeded
    assert result.value != threading.get_ident()
    assert sorted(recorder.outcomes()) == ["succeeded"] * 2


def test_after_its_timeout_a_thread_goes_on_and_the_reason_says_so(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    end = threading.Event()
    scheduler.job("@manual", name="slow", timeout=0.05)(lambda: end.wait(PATIENCE))
    scheduler.start()
    result = scheduler.trigger("slow").result.get(timeout=PATIENCE)
    end.set()
    assert result.outcome is Outcome.TIMED_OUT
    assert "its thread goes on" in result.reason.text


def test_at_most_the_allowed_number_of_threads_run_at_once(make_scheduler: Any) -> None:
    scheduler, recorder = make_scheduler(threads=2)
    at_once: list[int] = []
    lock, living = threading.Lock(), [0]
    two = threading.Barrier(2, timeout=PATIENCE)

    def work() -> None:
        with lock:
            living[0] += 1
            at_once.append(living[0])
        two.wait()
        with lock:
            living[0] -= 1

    for number in range(6):
        scheduler.job("@manual", name=f"job-{number}")(work)
    scheduler.start()
    gcron.wait([scheduler.trigger(f"job-{number}") for number in range(6)], timeout=PATIENCE)
    assert recorder.outcomes() == ["succeeded"] * 6
    assert max(at_once) == 2


def test_a_job_that_waits_for_a_thread_says_so(make_scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_call, "_SHORT_WAIT", 0.05)
    scheduler, recorder = make_scheduler(threads=1)
    end = threading.Event()
    for name in ("first", "second"):
        scheduler.job("@manual", name=name)(lambda: end.wait(PATIENCE))
    scheduler.start()
    runs = [scheduler.trigger(name) for name in ("first", "second")]
    until(lambda: recorder.of("notice"))
    end.set()
    assert all(run.result.get(timeout=PATIENCE).succeeded for run in runs)
    assert [(event.job, event.text) for event in recorder.of("notice")] == [
        ("second", "waits for a thread: all of them are busy with Python jobs")
    ]


def test_a_keyboard_interrupt_of_a_job_in_a_thread_is_its_failure(make_scheduler: Any) -> None:
    """A real Ctrl-C interrupts the main thread."""
    scheduler, _ = make_scheduler()

    @scheduler.job("@manual")
    def broken() -> None:
        raise KeyboardInterrupt("of its own")

    scheduler.start()
    result = scheduler.trigger("broken").result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.FAILED, "KeyboardInterrupt: of its own")


def test_a_job_that_is_stopped_while_it_waits_for_a_thread_never_begins(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler(threads=1)
    end = threading.Event()
    called: list[str] = []
    scheduler.job("@manual", name="first")(lambda: end.wait(PATIENCE))
    scheduler.job("@manual", name="second")(lambda: called.append("second"))
    scheduler.start()
    first, second = scheduler.trigger("first"), scheduler.trigger("second")
    gcron.sleep(0.01)
    second.stop(reason="on request")
    result = second.result.get(timeout=PATIENCE)
    end.set()
    first.result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text, called) == (Outcome.KILLED, "on request", [])


def test_a_job_without_a_thread_until_its_deadline_does_not_start(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler(threads=1)
    end = threading.Event()
    scheduler.job("@manual", name="first")(lambda: end.wait(PATIENCE))
    called: list[str] = []
    scheduler.job("@manual", name="second", start_deadline=0.05)(lambda: called.append("second"))
    scheduler.start()
    first = scheduler.trigger("first")
    result = scheduler.trigger("second").result.get(timeout=PATIENCE)
    end.set()
    first.result.get(timeout=PATIENCE)
    assert (result.outcome, called) == (Outcome.START_FAILED, [])
    assert result.reason.text == "no thread was free for 0.05 s"


@pytest.mark.parametrize("thread", [False, True])
def test_an_exception_is_an_outcome_with_a_traceback(thread: bool, make_scheduler: Any) -> None:
    scheduler, recorder = make_scheduler()

    @scheduler.job("@manual", greenlet=not thread)
    def broken() -> None:
        raise KeyError("no such customer")

    scheduler.start()
    result = scheduler.trigger("broken").result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.FAILED, "KeyError: 'no such customer'")
    assert isinstance(result.error, KeyError)
    assert result.traceback.splitlines()[-1] == "KeyError: 'no such customer'"
    assert recorder.lines()[0] == b"Traceback (most recent call last):"
    assert b"in broken" in recorder.lines()[1]


def test_nothing_is_pickled(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    lock = threading.Lock()  # which cannot be

    class Work:
        def __init__(self) -> None:
            self.lock = lock

        def do(self) -> object:
            return self.lock

    scheduler.job("@manual", name="method", greenlet=True)(Work().do)
    scheduler.job("@manual", name="closure")(lambda: lock)
    scheduler.start()
    for name in ("method", "closure"):
        assert scheduler.trigger(name).result.get(timeout=PATIENCE).value is lock


# -- a scheduler in a thread of its own ------------------------------------------------------------------------


def test_a_scheduler_runs_in_a_program_without_greenlets(background: Callable[..., Scheduler]) -> None:
    seen = threading.Event()
    scheduler = background(lambda it: it.job("@reboot", name="boot", greenlet=True)(seen.set))
    assert seen.wait(PATIENCE)
    scheduler.stop(grace=5)
    assert scheduler.counts.of("boot").succeeded == 1


def test_any_thread_can_use_the_scheduler(background: Callable[..., Scheduler]) -> None:
    scheduler = background()
    failures: list[BaseException] = []

    def use(number: int) -> None:
        name = f"job-{number}"
        try:
            for _ in range(10):
                scheduler.job("0 0 1 1 *", name=name, greenlet=True)(lambda: number)
                scheduler.pause(name)
                assert scheduler.status(name).is_paused
                scheduler.resume(name)
                scheduler.reschedule(name, "@daily")
                assert name in [job.name for job in scheduler.jobs]
                assert scheduler.trigger(name).result.get(timeout=PATIENCE).value == number
                scheduler.remove(name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failures == []
    assert scheduler.jobs == ()
    assert scheduler.counts.total.succeeded == 40


def test_an_error_in_the_thread_of_the_scheduler_is_raised_in_the_calling_thread(
    background: Callable[..., Scheduler],
) -> None:
    scheduler = background()
    with pytest.raises(KeyError, match="no job named 'nothing'"):
        scheduler.trigger("nothing")
    scheduler.command("true", "@daily", name="job")
    with pytest.raises(ValueError, match="already"):
        scheduler.command("true", "@daily", name="job")


def test_another_thread_can_wait_for_several_runs(background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.command("exit 3", "@manual", name="process"))
    ends = threading.Event()
    scheduler.job("@manual", name="slow")(lambda: ends.wait(PATIENCE))
    slow, process = scheduler.trigger("slow"), scheduler.trigger("process")
    assert gcron.wait([slow, process], timeout=PATIENCE, count=1) == [process]
    assert gcron.wait([slow], timeout=0.01) == []
    with pytest.raises(gcron.Timeout):
        slow.result.get(timeout=0.01)
    assert slow.result.wait(timeout=0.01) is None
    ends.set()
    assert gcron.wait([slow.result, process.result], timeout=PATIENCE) == [process.result, slow.result]
    assert [run.result.get().exit_code for run in (slow, process)] == [None, 3]


def test_run_refuses_a_scheduler_of_another_thread(background: Callable[..., Scheduler]) -> None:
    """`run()` after `start_thread()` raised LoopExit, and stopped the scheduler."""
    scheduler = background(lambda it: it.job("@manual", name="job")(lambda: 42))
    with pytest.raises(gcron.StateError, match="another thread owns the scheduler"):
        scheduler.run()
    assert scheduler.trigger("job").result.get(timeout=PATIENCE).value == 42


def test_an_asyncio_program_can_await_a_run(background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.command("echo out; exit 4", "@manual", name="process", overlap="allow"))
    turns = 0

    async def program() -> list[int | None]:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        results = await asyncio.gather(*(trigger() for _ in range(3)))
        counting.cancel()
        return [result.exit_code for result in results]

    async def trigger() -> Any:
        return await scheduler.trigger("process")

    assert asyncio.run(asyncio.wait_for(program(), PATIENCE)) == [4] * 3
    assert turns > 10, "the event loop did not go on while it waited"


def test_a_run_that_has_ended_can_be_awaited(background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.job("@manual", name="job", greenlet=True)(lambda: 42))
    run = scheduler.trigger("job")
    run.result.get(timeout=PATIENCE)

    async def program() -> Any:
        return (await run).value

    assert asyncio.run(program()) == 42
    assert run.future().result(PATIENCE).value == 42


def test_two_schedulers_in_two_threads_are_independent(background: Callable[..., Scheduler]) -> None:
    def name_of_thread() -> int:
        return threading.get_ident()

    first, second = (
        background(lambda it: it.job("@manual", name="job", greenlet=True)(name_of_thread)) for _ in range(2)
    )
    threads = {scheduler.trigger("job").result.get(timeout=PATIENCE).value for scheduler in (first, second)}
    assert len(threads) == 2
    first.stop(grace=1)
    assert second.trigger("job").result.get(timeout=PATIENCE).succeeded


def test_two_schedulers_in_one_thread_are_independent(make_scheduler: Any) -> None:
    (first, _), (second, seen) = make_scheduler(), make_scheduler()
    for scheduler in (first, second):
        scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
        scheduler.start()
    first.stop(grace=0)
    assert second.trigger("job").result.get(timeout=PATIENCE).succeeded
    assert seen.outcomes() == ["succeeded"]


@pytest.mark.parametrize("now", [False, True])
def test_another_thread_can_stop_a_run(now: bool, background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.command("exec sleep 60", "@manual", name="long"))
    run = scheduler.trigger("long")
    run.stop(reason="enough", now=now)
    result = run.result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason.text) == (Outcome.KILLED, "enough")


def test_a_scheduler_that_one_thread_has_used_does_not_start_in_another(make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
    may_end = threading.Event()
    triggered = threading.Event()

    def use() -> None:
        scheduler.trigger("job").result.get(timeout=PATIENCE)
        triggered.set()
        while not may_end.is_set():
            gcron.sleep(0.01)

    thread = threading.Thread(target=use)
    thread.start()
    assert triggered.wait(PATIENCE)
    try:
        with pytest.raises(RuntimeError, match="another thread owns the scheduler"):
            scheduler.start()
        scheduler.stop()
    finally:
        may_end.set()
        thread.join(PATIENCE)


def test_a_stop_from_another_thread_ends_the_runs(background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.command("exec sleep 60", "@manual", name="long"))
    run = scheduler.trigger("long")
    report = scheduler.stop(grace=0)
    assert (report.killed, report.left_behind) == (("long",), ())
    assert run.result.get(timeout=PATIENCE).outcome is Outcome.KILLED
    with pytest.raises(RuntimeError, match="is stopping"):
        scheduler.trigger("long")


def test_observers_are_called_in_the_thread_of_the_scheduler(background: Callable[..., Scheduler]) -> None:
    scheduler = background(lambda it: it.job("@manual", name="job", greenlet=True)(threading.get_ident))
    told: list[tuple[str, int]] = []
    has_been_told = threading.Event()

    @scheduler.on(RunFinished)
    def tell(event: RunFinished) -> None:
        told.append((event.job, threading.get_ident()))
        has_been_told.set()

    thread = scheduler.trigger("job").result.get(timeout=PATIENCE).value
    assert has_been_told.is_set()
    scheduler.off(RunFinished, tell)
    scheduler.trigger("job").result.get(timeout=PATIENCE)
    scheduler.stop(grace=1)
    assert told == [("job", thread)]
    assert thread != threading.get_ident()


def test_what_a_run_counts_is_there_when_its_result_is(background: Callable[..., Scheduler]) -> None:
    """In another thread, `run.result.get()` returned before the observers had the event and the run was counted."""
    scheduler = background(lambda it: it.job("@manual", name="job", greenlet=True)(lambda: None))
    seen: list[str] = []
    scheduler.on(RunFinished, lambda event: seen.append(event.run_id))
    for number in range(1, 51):
        run = scheduler.trigger("job")
        run.result.get(timeout=PATIENCE)
        assert (scheduler.counts.of("job").succeeded, len(seen)) == (number, number)
        assert seen[-1] == run.run_id


def test_start_thread_raises_an_error_of_the_start() -> None:
    scheduler = Scheduler()
    scheduler.add(Job("job", parse("@manual"), PythonCall(lambda: None), Policy.from_options({"after": "nothing"})))
    with pytest.raises(ValueError, match="nothing"):
        scheduler.start_thread()


# -- the end of the program ------------------------------------------------------------------------------------


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_end_of_a_program_stops_its_scheduler_and_the_runs() -> None:
    done = run_program("""
import gcron

scheduler = gcron.Scheduler()
scheduler.on("run-finished", lambda event: print(event.job, event.result.outcome, flush=True))
scheduler.command("exec sleep 60", "@reboot", name="long")
scheduler.on("process-started", lambda event: print("pid", event.pid, flush=True))
scheduler.start_thread(grace=0.1)
print("the end")
""")
    assert done.returncode == 0
    assert done.stderr == "job long killed: still running 0.1 s after gcron was told to stop\n"
    lines = done.stdout.splitlines()
    (pid,) = (int(line.removeprefix("pid ")) for line in lines if line.startswith("pid"))
    assert {"the end", "long killed"} < set(lines)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ctrl_c_at_the_end_of_a_program_kills_the_runs_at_once() -> None:
    text = """
import gcron

scheduler = gcron.Scheduler()
import threading
begun = threading.Event()
scheduler.on("process-started", lambda event: begun.set())
scheduler.on("run-finished", lambda event: print(event.job, event.result.outcome, flush=True))
scheduler.command("trap '' TERM; echo up; sleep 60 & wait; wait", "@manual", name="long", kill_after=3600)
scheduler.start_thread(grace=3600)
scheduler.trigger("long")
begun.wait()
print("the end", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "the end\n"
        time.sleep(0.5)  # until it waits
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        assert out == "long killed\n"


FOREGROUND = """
import gcron, threading, time

def tell_of_the_stop():
    while not scheduler.is_stopping:
        time.sleep(0.01)
    print("stopping", flush=True)

scheduler = gcron.Scheduler()
threading.Thread(target=tell_of_the_stop, daemon=True).start()
scheduler.on("run-finished", lambda event: print(event.job, event.result.outcome, flush=True))
scheduler.on("process-started", lambda event: print("pid", event.pid, flush=True))
scheduler.command("trap '' TERM; sleep 60 & wait; wait", "@reboot", name="long", kill_after=60)
{}
"""


def interrupted(text: str, *signals: int) -> tuple[int, list[str], str]:
    """Start the program. Send the first signal when its job runs, and the second one when it stops."""
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for event, signum in zip(("pid", "stopping"), signals, strict=False):
            assert process.stdout.readline().startswith(event)
            time.sleep(0.1)  # until the program waits again
            process.send_signal(signum)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.splitlines(), err


def test_ctrl_c_stops_a_foreground_scheduler_before_it_is_raised() -> None:
    """The exception ended `run`, and the jobs kept running."""
    text = FOREGROUND.replace("kill_after=60", "kill_after=0.2").format("scheduler.run(grace=0.2)")
    status, out, err = interrupted(text, signal.SIGINT)
    assert (status, out, err.splitlines()[-1]) == (-signal.SIGINT, ["stopping", "long killed"], "KeyboardInterrupt")


def test_ctrl_c_twice_kills_at_once() -> None:
    status, out, _ = interrupted(FOREGROUND.format("scheduler.run(grace=3600)"), signal.SIGINT, signal.SIGINT)
    assert (status, out) == (-signal.SIGINT, ["long killed"])


def test_a_scheduler_refuses_calls_in_a_forked_child() -> None:
    """In a pre-forking web server the workers get an error. They must not hang."""
    done = run_program("""
import os, warnings, gcron

# From Python 3.12 on, a fork beside threads is warned of: it is what is tested.
warnings.simplefilter("ignore", DeprecationWarning)
scheduler = gcron.Scheduler()
scheduler.job("@manual", name="job", greenlet=True)(lambda: None)
scheduler.start_thread()
if os.fork() == 0:
    try:
        scheduler.trigger("job")
    except RuntimeError as error:
        print("child:", error, flush=True)
    os._exit(0)
os.wait()
print(scheduler.trigger("job").result.get(timeout=10).outcome)
""")
    assert (done.returncode, done.stderr) == (0, "")
    child, parent = done.stdout.splitlines()
    assert child.startswith("child: this scheduler belongs to process ")
    assert parent == "succeeded"
