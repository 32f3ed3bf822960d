"""`after`: what jobs and services wait for, how long, and what ends the wait."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.schedule.clock import SystemClock
from gcron.scheduler import Job, Outcome, RunResult, Scheduler, ServiceState
from gcron.supervise import readiness_probe as probe
from gcron.supervise.command import Command
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode, exit_reason
from gcron.testing import VirtualClock
from tests.conftest import Gate
from tests.waiting import PATIENCE, takes, until

Make = Callable[..., tuple[Scheduler, Any]]
Watched = tuple[Scheduler, Any]
Marked = Callable[[str], list[int]]


def order_of_starts(recorder: Any) -> list[str]:
    return [event.job for event in recorder.of("process-started")]


def is_ready(scheduler: Scheduler, name: str) -> bool:
    return scheduler.services[name].state is ServiceState.READY


# -- ready -------------------------------------------------------------------------------------------------------


def test_a_service_without_a_readiness_option_is_ready_when_it_starts(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.command("echo done", "@reboot", name="job", after="db")
    running.service("exec sleep 60", name="db")
    running.start()
    until(lambda: recorder.outcomes("job") == ["succeeded"])

    assert order_of_starts(recorder) == ["db", "job"]


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_a_service_is_ready_after_its_ready_line(scheduler: Watched, tmp_path: Path, stream: str) -> None:
    running, recorder = scheduler
    gate = tmp_path / "gate"
    line = f"echo 'port 5432: ready to accept'{stream}"
    running.service(
        f"echo not ready to ACCEPT; until test -e {gate}; do sleep 0.02; done; {line}; exec sleep 60",
        name="db",
        ready_line="ready to accept$",
    )
    running.command("true", "@manual", name="job", after="db")
    running.start()
    run = running.trigger("job")
    until(lambda: recorder.lines("db"))
    sleep(0.1)
    assert order_of_starts(recorder) == ["db"]
    assert [event.text for event in recorder.of("notice", "job")] == [
        "waits for the service db: starting, gcron starts it"
    ]
    assert running.services["db"].state is ServiceState.STARTING
    assert not run.has_begun

    gate.touch()
    assert run.result.get(timeout=PATIENCE).succeeded
    (ready,) = [event for event in recorder.of("service-state-changed") if event.state == "ready"]
    assert ready.reason.text == "ready-line was seen"


def test_a_service_is_ready_after_its_ready_when_command_succeeds(scheduler: Watched, tmp_path: Path) -> None:
    """The command runs with the directory and variables of the service."""
    running, recorder = scheduler
    running.service("sleep 0.3; touch ready; exec sleep 60", name="db", cwd=str(tmp_path), ready_when="test -e ready")
    running.command("true", "@reboot", name="job", after="db")
    running.start()
    until(lambda: recorder.outcomes("job") == ["succeeded"])

    assert (tmp_path / "ready").exists()
    assert order_of_starts(recorder) == ["db", "job"], "the questions are no runs, and not told"
    assert recorder.of("service-state-changed")[1].reason.text == "ready-when succeeded"


def test_ready_when_runs_after_the_ready_line(scheduler: Watched, tmp_path: Path) -> None:
    running, _ = scheduler
    asked = tmp_path / "asked"
    running.service(
        f"sleep 0.3; test -e {asked} && echo too early; echo up; exec sleep 60",
        name="db",
        ready_line="up",
        ready_when=f"touch {asked}",
    )
    running.start()
    until(lambda: is_ready(running, "db"))

    assert running.running()[0].result.value is None
    assert asked.exists()
    assert running.services["db"].reason.text == "ready-line was seen, ready-when succeeded"


def test_the_pauses_between_probes_grow(clock: VirtualClock) -> None:
    """On a virtual clock only the pauses take time."""
    times: list[float] = []

    class Patient(probe.ReadinessProbe):
        def _ask(self) -> RunResult:
            times.append(clock.monotonic())
            return RunResult(Outcome.SUCCEEDED if len(times) == 9 else Outcome.FAILED, NO_REASON)

    told: list[str] = []
    assert Patient("true", Command("true"), Policy(), "db", SystemClock()).wait(told.append)
    assert told == []

    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == pytest.approx([0.2, 0.3, 0.45, 0.675, 1, 1, 1, 1])


def test_a_probe_that_keeps_failing_is_explained_once(clock: VirtualClock) -> None:
    """With a typo in ready-when a service never became ready, its jobs were skipped, and the log did not say why."""
    refusal = RunResult(Outcome.FAILED, exit_reason(127), output_head=b"sh: 1: crul: not found\n\n")

    class Mistyped(probe.ReadinessProbe):
        def _ask(self) -> RunResult:
            return refusal if clock.monotonic() < 100 else RunResult(Outcome.SUCCEEDED, NO_REASON)

    told: list[tuple[float, str]] = []
    begin = clock.monotonic()
    assert Mistyped("crul", Command("true"), Policy(), "db", SystemClock()).wait(
        lambda text: told.append((clock.monotonic(), text))
    )

    ((when, text),) = told
    assert 10 <= when - begin <= 11
    assert text.startswith("is not ready yet: ready-when failed (exit status 127 (the command was not found, or its ")
    assert text.endswith("saying 'sh: 1: crul: not found'")


def test_a_cancelled_probe_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the life of a service ended, the log said that its next life was not ready yet: `ready-when killed (nobody
    wants to know any more)`."""
    monkeypatch.setattr(probe, "_PATIENCE", 0.0)
    told: list[str] = []

    class CalledOff(probe.ReadinessProbe):
        def _ask(self) -> RunResult:
            self.cancel()
            return RunResult(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "the probe was cancelled"))

    assert CalledOff("sleep 60", Command("true"), Policy(), "db", SystemClock()).wait(told.append) is False
    assert told == []


def test_a_service_that_stays_not_ready_reports_why(scheduler: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_PATIENCE", 0.3)
    running, recorder = scheduler
    running.service("exec sleep 60", name="db", ready_when="echo not yet >&2; exit 7")
    running.start()
    until(lambda: recorder.of("notice", "db"))

    (notice,) = recorder.of("notice", "db")
    assert notice.text == "is not ready yet: ready-when failed (exit status 7), saying 'not yet'"
    assert notice.run_id == running.services["db"].run.run_id


def test_ready_line_does_not_block_the_loop_on_long_lines(scheduler: Watched) -> None:
    """Python's `re` takes time by the square of the length for `.*up`: three long lines blocked the loop for 5 s."""
    running, recorder = scheduler
    long = "head -c 65000 /dev/zero | tr '\\0' l; echo"
    running.service(f"{long}; {long}; {long}; echo done; exec sleep 60", name="db", ready_line=".*listening.*on")
    gaps: list[float] = []

    def beat() -> None:
        while True:
            begin = time.thread_time()  # only of this thread, so other programs do not count
            sleep(0.01)
            gaps.append(time.thread_time() - begin)

    running.start()
    beating = spawn(beat)
    until(lambda: b"done" in recorder.lines("db"))
    sleep(0.02)
    beating.kill()

    assert max(gaps) < 0.5


def test_a_probe_that_hangs_is_killed_with_its_process_tree(
    scheduler: Watched, tmp_path: Path, marked_processes: Marked, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT", 1.0)
    running, _ = scheduler
    hanging = f"test -e {tmp_path}/again && exit 0; touch {tmp_path}/again; sleep {unique} & sleep {unique}"
    running.service("exec sleep 60", name="db", ready_when=hanging)
    running.start()
    until((tmp_path / "again").exists)
    assert running.services["db"].state is ServiceState.STARTING
    until(lambda: is_ready(running, "db"))

    assert marked_processes(f"sleep {unique}") == []


def test_processes_that_a_probe_leaves_behind_are_ended(
    scheduler: Watched, marked_processes: Marked, unique: str
) -> None:
    running, _ = scheduler
    running.service("exec sleep 60", name="db", ready_when=f"sleep {unique} >/dev/null 2>&1 &")
    running.start()
    until(lambda: is_ready(running, "db"))

    assert marked_processes(f"sleep {unique}") == []


def test_the_probe_of_a_service_that_died_is_ended(
    scheduler: Watched, marked_processes: Marked, unique: str, gate: Gate
) -> None:
    running, recorder = scheduler
    running.service(f"{gate.wait}; exit 1", name="db", restart="never", ready_when=f"exec sleep {unique}")
    running.start()
    until(lambda: marked_processes(f"sleep {unique}"))
    gate.open()
    until(lambda: running.services["db"].state is ServiceState.FAILED)
    until(lambda: not marked_processes(f"sleep {unique}"))

    assert [str(event.state) for event in recorder.of("service-state-changed")] == ["starting", "failed"]


def test_a_restarted_service_has_to_become_ready_again(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("echo up; exec sleep 60", name="db", ready_line="up", restart_delay=0.5)
    running.command("true", "@manual", name="job", after="db")
    running.start()
    until(lambda: is_ready(running, "db"))
    os.kill(recorder.of("process-started")[0].pid, signal.SIGKILL)
    until(lambda: not is_ready(running, "db"))

    run = running.trigger("job")

    assert run.result.get(timeout=PATIENCE).succeeded
    assert order_of_starts(recorder) == ["db", "db", "job"]


# -- waiting -----------------------------------------------------------------------------------------------------


def test_a_service_starts_after_the_services_in_its_after(scheduler: Watched) -> None:
    running, recorder = scheduler
    for name, after in (("web", "cache,db"), ("db", ""), ("cache", "db")):
        running.service("sleep 0.1; echo up; exec sleep 60", name=name, after=after, ready_line="up")
    running.start()
    until(lambda: is_ready(running, "web"))

    told = [(event.kind, event.job) for event in recorder.events if event.kind in ("process-started", "output")]
    assert told == [(kind, name) for name in ("db", "cache", "web") for kind in ("process-started", "output")]


def test_a_fire_waits_for_a_service_until_its_start_deadline(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("exit 1", name="db", restart="never")
    scheduler.job("0 1 * * *", name="job", after="db", start_deadline=600, greenlet=True)(lambda: None)
    scheduler.start()
    sleep(3700)
    assert recorder.outcomes("job") == []
    sleep(600)

    (finished,) = recorder.of("run-finished", "job")
    assert round(finished.time - finished.fire_at) == 600
    assert (finished.result.outcome, finished.result.reason.text) == (
        Outcome.SKIPPED,
        "not begun: the service db was not ready in time: failed, exit status 1",
    )


def test_a_fire_starts_as_soon_as_all_its_services_are_ready(clock: VirtualClock, make_scheduler: Make) -> None:
    """All its services have to be ready at the same time, here for the first time after 70 s."""
    scheduler, recorder = make_scheduler(clock=clock)
    lives = iter([40, 1000])
    scheduler.job("@service", name="db", min_uptime=100, restart_delay=30, greenlet=True)(lambda: sleep(next(lives)))
    scheduler.job("@service", name="cache", enabled=False, greenlet=True)(lambda: sleep(1000))
    begun: list[float] = []
    scheduler.job("@reboot", name="job", after="db,cache", greenlet=True)(lambda: begun.append(clock.monotonic()))
    scheduler.start()
    sleep(50)
    scheduler.trigger("cache")
    sleep(60)

    assert [round(moment) for moment in begun] == [70]
    assert recorder.outcomes("job") == ["succeeded"]


def test_a_service_waits_for_other_services_without_a_deadline(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@service", name="db", enabled=False, greenlet=True)(lambda: sleep(1e9))
    scheduler.job("@service", name="web", after="db", greenlet=True)(lambda: sleep(1e9))
    scheduler.start()
    sleep(1e6)
    assert not is_ready(scheduler, "web")
    scheduler.trigger("db")
    sleep(1)
    assert is_ready(scheduler, "web")
    assert recorder.of("run-finished") == []


@pytest.mark.realtime
def test_a_stop_does_not_wait_for_services_that_are_not_ready(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="db", ready_line="never")
    running.service("exec sleep 60", name="web", after="db")
    running.command("true", "@reboot", name="job", after="db")
    running.start()
    until(lambda: recorder.of("process-started"))

    with takes(at_most=5):
        report = running.stop(grace=30)

    assert (report.killed, order_of_starts(recorder)) == ((), ["db"])
    results = {event.job: event.result for event in recorder.of("run-finished")}
    assert {job: str(result.outcome) for job, result in results.items()} == {
        "job": "skipped",
        "web": "skipped",
        "db": "stopped",
    }
    assert results["job"].reason.text == "not begun: gcron is told to stop"


def test_a_job_that_waits_for_a_removed_service_does_not_start(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="db", ready_line="never")
    running.command("true", "@manual", name="job", after="db")
    running.start()
    run = running.trigger("job")
    until(lambda: recorder.of("process-started"))
    running.remove("db")

    result = run.result.get(timeout=PATIENCE)

    assert (result.outcome, result.reason.text) == (Outcome.SKIPPED, "not begun: there is no service db")


# -- after a job that runs once ----------------------------------------------------------------------------------


def test_what_comes_after_a_one_shot_job_waits_until_it_has_succeeded(scheduler: Watched, tmp_path: Path) -> None:
    """A web server could not wait for the migration of its database."""
    running, recorder = scheduler
    gate = tmp_path / "gate"
    running.service("exec sleep 60", name="web", after="migrate")
    running.command("true", "@manual", name="job", after="migrate")
    running.command(f"test -e {gate}", "@reboot", name="migrate")
    running.start()
    until(lambda: recorder.outcomes("migrate") == ["failed"])
    run = running.trigger("job")
    until(lambda: recorder.of("notice", "job"))
    assert [event.text for event in recorder.of("notice", "job")] == [
        "waits for the job migrate: failed, exit status 1"
    ]
    assert order_of_starts(recorder) == ["migrate"]

    gate.touch()
    running.trigger("migrate")
    assert run.result.get(timeout=PATIENCE).succeeded
    until(lambda: is_ready(running, "web"))
    running.add(Job("late", parse("@manual"), Command("true"), Policy.from_options({"after": "migrate"})))
    assert running.trigger("late").result.get(timeout=PATIENCE).succeeded


def test_a_job_after_a_one_shot_job_that_failed_is_skipped(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.command("exit 3", "@reboot", name="migrate")
    running.command("true", "@manual", name="job", after="migrate", start_deadline=0.2)
    running.start()
    until(lambda: recorder.outcomes("migrate") == ["failed"])
    result = running.trigger("job").result.get(timeout=PATIENCE)
    assert (result.outcome, result.reason) == (
        Outcome.SKIPPED,
        Reason(
            ReasonCode.JOB_NOT_SUCCEEDED,
            "not begun: the job migrate has not succeeded: failed, exit status 3; "
            "`gcron trigger migrate` runs it again",
        ),
    )


def test_a_run_shows_what_it_waits_for(scheduler: Watched) -> None:
    """The status showed a run that was `waiting`, and no more. Fires were skipped since it "has not begun yet"."""
    running, recorder = scheduler
    running.command("exit 3", "@reboot", name="migrate")
    running.command("true", "@manual", name="job", after="migrate")
    running.start()
    until(lambda: recorder.outcomes("migrate") == ["failed"])
    run = running.trigger("job")
    words = "waits for the job migrate: failed, exit status 3"
    until(lambda: run.describe_wait() == words)
    skipped = running.trigger("job").result.get(timeout=PATIENCE)
    assert skipped.reason.text == f"the run {run.run_id} has not begun yet: it {words}"
    run.stop()
    run.result.get(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "it is paused; `gcron trigger migrate` runs it"),
        ({"enabled": False}, "it is not enabled (enabled=no)"),
    ],
)
def test_a_run_does_not_wait_for_the_end_of_a_job_that_does_not_run(
    scheduler: Watched, options: dict[str, bool], words: str
) -> None:
    """The log said of a job that is paused, or not enabled, that "it has not ended yet": an end that never came."""
    running, recorder = scheduler
    running.command("true", "@reboot", name="migrate", **options)
    running.command("true", "@manual", name="job", after="migrate")
    if not options:
        running.pause("migrate")
    running.start()
    run = running.trigger("job")
    until(lambda: recorder.of("notice", "job"))
    assert [event.text for event in recorder.of("notice", "job")] == [f"waits for the job migrate: {words}"]
    run.stop()
    run.result.get(timeout=PATIENCE)


def test_what_waits_for_a_one_shot_job_that_is_removed_does_not_begin(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.command("exit 3", "@reboot", name="migrate")
    running.command("true", "@manual", name="job", after="migrate")
    running.start()
    run = running.trigger("job")
    until(lambda: recorder.of("notice", "job"))
    running.remove("migrate")
    assert run.result.get(timeout=PATIENCE).reason.text == "not begun: there is no service migrate"


# -- mistakes ----------------------------------------------------------------------------------------------------


def job(name: str, schedule: str, after: str) -> Job:
    return Job(name, parse(schedule), Command("exec sleep 60"), Policy.from_options({"after": after}))


MISTAKES = {
    "job 'a': after= names 'dbb', which does not exist (did you mean db?)": [("a", "@manual", "dbb")],
    "job 'b': after= names 'a', which is neither a service nor a @reboot job (only those can be waited for)": [
        ("a", "@manual", ""),
        ("b", "@service", "a"),
    ],
    "job 'a': services and jobs wait for one another: a after b after a (leave one of these after= out)": [
        ("a", "@reboot", "b"),
        ("b", "@service", "a"),
    ],
    "job 'a': services wait for one another: a after a (leave one of these after= out)": [("a", "@service", "a")],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_wrong_values_of_after_are_refused_and_change_nothing(message: str, make_scheduler: Make) -> None:
    wrong = [job(*parts) for parts in MISTAKES[message]]
    good = job("db", "@service", "")

    early, _ = make_scheduler()
    for each in [good, *wrong]:
        early.add(each)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        early.start()

    late, recorder = make_scheduler()
    late.add(good)
    late.start()
    until(lambda: is_ready(late, "db"))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        late.replace([good, *wrong])
    with pytest.raises(ValueError, match="after="):
        for each in wrong:
            late.add(each)
    assert is_ready(late, "db")
    assert len(recorder.of("process-started")) == 1


def test_a_ready_line_with_discarded_output_is_refused(make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler()
    scheduler.service("exec sleep 60", name="db", ready_line="up", output="discard")
    with pytest.raises(ValueError, match="ready-line= never sees a line with output=discard"):
        scheduler.start()


def test_services_in_a_circle_are_named(make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler()
    for name, after in (("a", "b"), ("b", "c,d"), ("c", "a"), ("d", "")):
        scheduler.service("exec sleep 60", name=name, after=after)
    with pytest.raises(ValueError, match="wait for one another: ") as caught:
        scheduler.start()
    circle = str(caught.value).partition("another: ")[2].partition(" (")[0].split(" after ")
    assert circle[0] == circle[-1]
    assert set(circle) == {"a", "b", "c"}
    awaited = {"a": "b", "b": "c", "c": "a"}
    assert all(awaited[name] == other for name, other in pairwise(circle))


def test_a_job_may_come_before_its_service_in_the_crontab(scheduler: Watched, tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text("# gcron: name=job after=db\n@manual true\n# gcron: name=db\n@service exec sleep 60\n")
    running, _ = scheduler
    running.start()
    running.load_crontab(str(path))
    assert running.trigger("job").result.get(timeout=PATIENCE).succeeded
