"""Services: restarts, triggers, stops, and changes by a reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Outcome, Scheduler, ServiceState
from gcron.supervise.command import Command
from gcron.supervise.python_call import PythonCall
from gcron.supervise.timing import Timing
from gcron.testing import VirtualClock
from tests.conftest import Gate
from tests.waiting import PATIENCE, takes, until

Make = Callable[..., tuple[Scheduler, Any]]
Watched = tuple[Scheduler, Any]
Marked = Callable[[str], list[int]]


def pids(recorder: Any, job: str) -> list[int]:
    return [event.pid for event in recorder.of("process-started", job)]


def states(recorder: Any, job: str) -> list[str]:
    return [str(event.state) for event in recorder.of("service-state-changed", job)]


def service(name: str, command: str, **options: Any) -> Job:
    return Job(name, parse("@service"), Command(command), Policy.from_options(options))


# -- kept running ------------------------------------------------------------------------------------------------


def test_a_service_that_dies_is_started_again(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("echo as $GCRON_JOB; exec sleep 60", name="web", min_uptime=0.05)
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)
    sleep(0.15)
    os.kill(pids(recorder, "web")[0], signal.SIGKILL)
    until(lambda: len(states(recorder, "web")) == 4)

    status = running.services["web"]
    assert (status.restarts, status.run) == (1, running.running()[0])
    assert states(recorder, "web") == ["starting", "ready", "starting", "ready"]
    (ended,) = recorder.of("run-finished", "web")
    assert (ended.result.outcome, ended.result.exit_code) == (Outcome.FAILED, -9)
    assert recorder.of("service-state-changed", "web")[2].reason.text == ended.result.reason.text
    assert len({event.run_id for event in recorder.of("run-started", "web")}) == 2, "each life is a run of its own"
    until(lambda: recorder.lines("web") == [b"as web"] * 2)


def test_a_service_that_dies_soon_restarts_with_growing_delays(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("exit 1", name="web", restart_max_delay=30)
    scheduler.start()
    sleep(120)

    times = [event.time for event in recorder.of("run-started")]
    assert [round(after - before) for before, after in pairwise(times)] == [1, 2, 4, 8, 16, 30, 30]
    backing_off = [event for event in recorder.of("service-state-changed") if event.state == "backing-off"]
    assert [event.delay for event in backing_off[:3]] == [1, 2, 4]
    assert [event.restarts for event in backing_off[:3]] == [0, 1, 2]
    assert backing_off[0].reason.text == "exit status 1"


def test_a_long_life_resets_the_restart_delay(clock: VirtualClock, make_scheduler: Make) -> None:
    """The services are functions, because these can run on a virtual clock."""
    scheduler, recorder = make_scheduler(clock=clock)
    lives = iter([0, 0, 0, 5, 0, 0, 1000])
    scheduler.job("@service", name="web", greenlet=True)(lambda: sleep(next(lives)))
    scheduler.start()
    sleep(100)

    times = [event.time for event in recorder.of("run-started")]
    assert [round(after - before) for before, after in pairwise(times)] == [1, 2, 4, 5, 1, 2]
    assert scheduler.services["web"].state is ServiceState.READY


def test_a_crash_loop_restarts_at_most_ten_times_a_second(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("exit 1", name="web", restart_delay=0)
    scheduler.service("exit 0", name="other", min_uptime=0)
    scheduler.start()
    sleep(5)

    for name in ("web", "other"):
        assert 40 <= len(recorder.of("run-started", name)) <= 51, "ten a second, and not five hundred"


def test_after_its_restart_limit_a_service_is_failed_until_it_is_triggered(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("exit 3", name="web", restart_limit=3)
    scheduler.start()
    sleep(3600)

    assert len(recorder.of("run-started")) == 3
    status = scheduler.services["web"]
    assert (status.state, status.run) == (ServiceState.FAILED, None)
    assert status.reason.text == "given up after 3 short lives in a row: exit status 3"

    assert scheduler.trigger("web").result.get().exit_code == 3
    sleep(0)
    assert scheduler.services["web"].state is ServiceState.BACKING_OFF
    sleep(3600)
    assert len(recorder.of("run-started")) == 6, "what was before the trigger is forgotten"


def test_a_service_that_cannot_start_is_restarted_with_delays(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("true", name="web", shell="/does/not/exist", restart_limit=4)
    scheduler.start()
    sleep(60)

    assert recorder.outcomes("web") == ["start-failed"] * 4
    assert scheduler.services["web"].state is ServiceState.FAILED


@pytest.mark.parametrize(
    ("command", "restart", "state", "reason"),
    [
        ("exit 0", "on-failure", "stopped", "it ended"),
        ("exit 0", "never", "stopped", "it ended"),
        ("exit 4", "never", "failed", "exit status 4"),
        ("exit 4", "on-failure", "backing-off", "exit status 4"),
        ("exit 0", "always", "backing-off", "it ended"),
    ],
)
def test_what_follows_the_end_of_a_service(
    scheduler: Watched, command: str, restart: str, state: str, reason: str
) -> None:
    running, recorder = scheduler
    running.service(command, name="web", restart=restart, restart_delay=30, min_uptime=60)
    running.start()
    until(lambda: states(recorder, "web")[-1:] == [state])

    assert (running.services["web"].reason.text, running.services["web"].run) == (reason, None)


def test_a_child_that_a_service_leaves_behind_is_ended_and_delays_no_restart(
    make_scheduler: Make, marked_processes: Marked, unique: str
) -> None:
    """The children of the last life would hold its port, and the children of a hundred lives would fill the machine."""
    running, recorder = make_scheduler(timing=Timing(pipes_after_exit=0.2))
    running.service(f"sleep {unique} & exec sleep 60", name="web", min_uptime=0)
    running.start()
    until(lambda: pids(recorder, "web") and psutil.Process(pids(recorder, "web")[0]).name() == "sleep")
    (child,) = marked_processes(f"sleep {unique}")
    os.kill(pids(recorder, "web")[0], signal.SIGKILL)

    until(lambda: len(pids(recorder, "web")) == 2)
    until(lambda: not psutil.pid_exists(child))
    until(lambda: any("ended what it had left behind: pid" in event.text for event in recorder.of("notice")))
    until(lambda: len(marked_processes(f"sleep {unique}")) == 1)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.6], ids="{}s".format)
@pytest.mark.parametrize("how", ["stop", "stop-service", "removal", "change", "kill", "stop-of-its-run"])
def test_a_service_is_not_over_before_what_it_left_behind_is_ended(
    scheduler: Watched, marked_processes: Marked, unique: str, how: str, delay: float
) -> None:
    """A stop that came after the end of the main process, while its pipe was open, left the others behind: status 0.

    The next life then met "address in use". `delay` is from the end of the main process: before the sweep, in the
    middle of it, and when what was left ignores the stop signal.
    """
    running, _ = scheduler
    text = f"sh -c \"trap '' TERM; while :; do sleep 0.05; done # {unique}\" & sleep 0.2"
    alive_at: list[tuple[str, list[int]]] = []

    def look(event: Any) -> None:
        if event.kind == "run-finished" or str(getattr(event, "state", "")) == "stopped":
            alive_at.append((event.kind, marked_processes(unique)))

    running.on("run-finished", look)
    running.on("service-state-changed", look)
    running.replace([service("web", text, kill_after=1, min_uptime=60)])
    running.start()
    first = until(lambda: running.services["web"].run)
    pid = until(lambda: first.pid)
    until(lambda: not psutil.pid_exists(pid), "the end of the main process")
    assert marked_processes(unique)
    sleep(delay)
    if how == "stop":
        running.stop(grace=0)
    elif how == "stop-service":
        running.stop_service("web")
    elif how == "removal":
        running.remove("web")
    elif how == "change":
        running.replace([service("web", "exec sleep 60")])
    elif how == "kill":
        running.kill()
    else:
        first.stop()

    until(lambda: first.ready(), "the end of the run")
    assert alive_at[0] == ("run-finished", [])
    assert all(alive == [] for kind, alive in alive_at if kind == "service-state-changed")


def test_a_service_ignores_options_that_are_for_jobs(clock: VirtualClock, make_scheduler: Make) -> None:
    """Such options may come from `# gcron-defaults:`, which are for the jobs of a file."""
    scheduler, recorder = make_scheduler(clock=clock)
    options = {
        "timeout": 5,
        "group": "small",
        "retries": 3,
        "overlap": "replace",
        "jitter": 9,
        "expect_within": 60,
        "start_deadline": 1,
    }
    policy = Policy.from_options(options)
    for name in ("db", "web"):
        scheduler.add(
            Job(name, parse("@service"), PythonCall(lambda: sleep(1e6), greenlet=True), policy, group_limit=1)
        )
    scheduler.start()
    sleep(100_000)

    assert [str(event.kind) for event in recorder.events if event.job == "web"] == [
        "service-state-changed",
        "run-started",
        "service-state-changed",
    ]
    assert {str(status.state) for status in scheduler.services.values()} == {"ready"}


# -- triggers ----------------------------------------------------------------------------------------------------


def test_triggering_a_running_service_returns_its_run(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("sleep 60", name="web")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)

    assert running.trigger("web") is running.services["web"].run
    assert len(recorder.of("run-started")) == 1


def test_a_disabled_service_starts_only_when_triggered(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("sleep 60", name="web", enabled=False)
    running.start()
    sleep(0.05)
    assert (running.services["web"].state, running.services["web"].reason.text) == ("stopped", "not enabled")
    assert recorder.of("run-started") == []

    running.trigger("web")
    until(lambda: running.services["web"].state is ServiceState.READY)


def test_triggering_a_service_during_its_delay_starts_it_once(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    lives = iter([0, 1000])
    scheduler.job("@service", name="web", restart_delay=50, greenlet=True)(lambda: sleep(next(lives)))
    scheduler.start()
    sleep(10)
    assert scheduler.services["web"].state is ServiceState.BACKING_OFF

    scheduler.trigger("web")
    sleep(200)

    assert [round(event.time - clock.now()) for event in recorder.of("run-started")] == [-210, -200]


def test_a_service_whose_run_was_stopped_is_started_again(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("sleep 60", name="web")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)

    running.trigger("web").stop(reason="restarted by hand")
    until(lambda: len(pids(recorder, "web")) == 2)

    assert recorder.of("service-state-changed")[2].reason.text == "restarted by hand"


# -- stopping ----------------------------------------------------------------------------------------------------


def test_services_run_until_the_last_job_ends(scheduler: Watched, tmp_path: Path) -> None:
    running, recorder = scheduler
    running.service(f"echo $$ > {tmp_path}/pid; exec sleep 60", name="db")
    running.command(f"sleep 0.5; kill -0 $(cat {tmp_path}/pid) && echo it is there", "@manual", name="job", after="db")
    running.start()
    job = running.trigger("job")
    until(lambda: len(recorder.of("process-started")) == 2)

    report = running.stop(grace=20)

    assert (report.killed, report.left_behind) == ((), ())
    assert job.result.get().output_head == b"it is there\n"
    (ended,) = recorder.of("run-finished", "db")
    assert (ended.result.outcome, ended.result.reason.text) == (Outcome.STOPPED, "gcron is told to stop")
    assert running.services["db"].state is ServiceState.STOPPED
    assert recorder.of("run-finished")[-1] is ended


def test_a_service_that_dies_while_jobs_finish_is_restarted(scheduler: Watched, gate: Gate) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="db", min_uptime=0)
    running.command(gate.wait, "@manual", name="job")
    running.start()
    running.trigger("job")
    until(lambda: len(recorder.of("process-started")) == 2)
    stopping = spawn(running.stop, PATIENCE)
    until(lambda: running.is_stopping)
    os.kill(pids(recorder, "db")[0], signal.SIGKILL)
    until(lambda: len(pids(recorder, "db")) == 2)
    gate.open()
    stopping.join()

    assert not psutil.pid_exists(pids(recorder, "db")[1])


def test_services_stop_in_the_reverse_order_of_after(scheduler: Watched, tmp_path: Path) -> None:
    """TERM went to all at once: the database was gone 0.8 s before the web server that needed it had ended."""
    running, recorder = scheduler
    command = "trap 'sleep 0.2; echo {} >> order; exit' TERM; echo up; while :; do sleep 0.05; done"
    running.service(command.format("cache"), name="cache", cwd=tmp_path, after="db", ready_line="up")
    running.service(command.format("front"), name="front", cwd=tmp_path, after="web", ready_line="up")
    running.service(command.format("db"), name="db", cwd=tmp_path, ready_line="up")
    running.service(command.format("web"), name="web", cwd=tmp_path, after="db,cache", ready_line="up")
    running.start()
    until(lambda: all(status.state == "ready" for status in running.services.values()))

    report = running.stop(grace=0)

    assert report.killed == ()
    order = [event.job for event in recorder.of("service-state-changed") if event.state is ServiceState.STOPPING]
    assert order == ["front", "web", "cache", "db"]
    assert (tmp_path / "order").read_text().split() == ["front", "web", "cache", "db"]


@pytest.mark.realtime
def test_a_service_that_ignores_the_stop_signal_delays_the_next_until_kill(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="db", kill_after=60)
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    running.service(deaf, name="web", after="db", kill_after=0.3, ready_line="up")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)

    with takes(at_least=0.3, at_most=0.3 + 1):
        report = running.stop(grace=0)

    assert report.killed == ("web",)
    ends = recorder.of("run-finished")
    assert [(event.job, event.result.outcome) for event in ends] == [("web", Outcome.KILLED), ("db", Outcome.STOPPED)]


def test_a_second_stop_kills_services_that_wait_for_their_turn(scheduler: Watched) -> None:
    running, _ = scheduler
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    running.service(deaf, name="db", kill_after=600, ready_line="up")
    running.service(deaf, name="web", after="db", kill_after=600, ready_line="up")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)
    stopping = spawn(running.stop, 0)
    until(lambda: running.services["web"].state is ServiceState.STOPPING)
    running.kill()

    assert sorted(stopping.get(timeout=PATIENCE).killed) == ["db", "web"]


def test_a_service_that_fails_for_good_can_stop_the_scheduler(scheduler: Watched) -> None:
    """A container went on, healthy for its orchestrator, with a service in it that had been given up for hours."""
    running, recorder = scheduler
    running.service("exit 3", name="web", restart="never", on_failed="stop")
    running.service("exec sleep 60", name="db")
    running.start()
    until(lambda: running.is_stopping)

    assert running.stop().killed == ()
    assert running.failed_service == "web"
    assert recorder.outcomes("db") == ["stopped"]


def test_a_service_that_fails_for_good_stops_nothing_by_default(scheduler: Watched) -> None:
    running, _ = scheduler
    running.service("exit 3", name="web", restart="never")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.FAILED)
    sleep(0.05)

    assert not running.is_stopping
    assert running.failed_service == ""


def test_a_service_that_ignores_the_stop_signal_is_killed_and_reported(
    scheduler: Watched, marked_processes: Marked, unique: str
) -> None:
    running, recorder = scheduler
    running.service(
        "trap '' TERM; echo up; while :; do sleep 0.05; done # " + unique, name="deaf", ready_line="up", kill_after=0.3
    )
    running.service("exec sleep 60", name="polite")
    running.start()
    until(lambda: all(status.state == "ready" for status in running.services.values()))

    report = running.stop(grace=0)

    assert report.killed == ("deaf",)
    (deaf,) = recorder.of("run-finished", "deaf")
    assert (deaf.result.outcome, deaf.result.reason.text) == (
        Outcome.KILLED,
        "gcron is told to stop, and ignored the stop signal",
    )
    assert marked_processes(unique) == []


def test_a_service_gets_its_own_stop_signal(scheduler: Watched) -> None:
    running, recorder = scheduler
    command = "trap 'echo bye; exit 0' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done 2>/dev/null"
    running.service(command, name="web", stop_signal="USR1", ready_line="up")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)

    assert running.stop(grace=0).killed == ()
    assert recorder.lines("web") == [b"up", b"bye"]


def test_kill_ends_services_and_does_not_restart_them(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("trap '' TERM; echo up; while :; do sleep 0.05; done", name="web", ready_line="up")
    running.command("sleep 60", "@manual", name="job")
    running.start()
    running.trigger("job")
    until(lambda: running.services["web"].state is ServiceState.READY)
    stopping = spawn(running.stop, 600)
    until(lambda: running.is_stopping)
    running.kill()

    report = stopping.get(timeout=PATIENCE)

    assert sorted(report.killed) == ["job", "web"]
    assert recorder.outcomes("web") == ["killed"]
    assert recorder.of("run-finished", "web")[0].result.reason.text == "gcron was told to stop at once"


def test_a_stop_does_not_wait_for_a_restart_delay(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.service("exit 1", name="web", restart_delay=50)
    scheduler.start()
    sleep(10)
    before = clock.now()

    assert scheduler.stop().killed == ()
    assert clock.now() - before < 1
    sleep(100)
    assert len(recorder.of("run-started")) == 1
    assert scheduler.services["web"].state is ServiceState.STOPPED


def test_no_service_starts_after_the_stop(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="web")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)
    running.stop(grace=0)
    running.service("exec sleep 60", name="late")
    running.replace([service("web", "exec sleep 61"), service("later", "exec sleep 60")])
    sleep(0.1)

    assert running.running() == []
    assert len(pids(recorder, "web")) == 1
    assert {event.job for event in recorder.of("run-started")} == {"web"}


# -- changes -----------------------------------------------------------------------------------------------------


def test_a_reload_restarts_only_changed_services(scheduler: Watched) -> None:
    running, recorder = scheduler
    sleeper = "exec sleep 60"
    before = [service(name, sleeper) for name in ("same", "changed", "removed", "disabled")]
    before.append(service("enabled", sleeper, enabled=False))
    running.replace(before)
    running.start()
    until(lambda: len(recorder.of("process-started")) == 4)
    first = {event.job: event.pid for event in recorder.of("process-started")}

    replaced = running.replace(
        [
            service("same", sleeper),
            service("changed", "exec sleep 61"),
            service("added", sleeper),
            service("disabled", sleeper, enabled=False),
            service("enabled", sleeper),
        ]
    )

    assert replaced == (("added",), ("changed", "disabled", "enabled"), ("removed",))
    until(lambda: len(recorder.of("process-started")) == 7 and len(running.running()) == 4)
    assert {event.job for event in recorder.of("process-started")[4:]} == {"changed", "added", "enabled"}
    assert psutil.pid_exists(first["same"])
    assert not any(psutil.pid_exists(first[name]) for name in ("changed", "removed", "disabled"))
    # A greenlet sets the state to ready a moment after the observers got the event of the process.
    expected = {"same": "ready", "changed": "ready", "added": "ready", "disabled": "stopped", "enabled": "ready"}
    until(lambda: {name: str(status.state) for name, status in running.services.items()} == expected)
    assert set(recorder.outcomes()) == {"stopped"}
    assert [event.result.reason.text for event in recorder.of("run-finished", "removed")] == ["removed"]


def test_a_service_never_has_two_lives_at_once(scheduler: Watched, gate: Gate) -> None:
    """Also when it is removed, added and changed while its life still ends."""
    running, recorder = scheduler
    slow = f"trap '{gate.wait}; exit' TERM; echo up; while :; do sleep 0.02; done # {{}}"
    running.replace([service("web", slow.format(1), ready_line="up")])
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)
    running.replace([])
    assert running.services == {}
    sleep(0.1)
    running.replace([service("web", slow.format(2), ready_line="up")])
    sleep(0.1)
    running.replace([service("web", slow.format(3), ready_line="up")])
    gate.open()
    until(lambda: "web" in running.services and running.services["web"].state is ServiceState.READY)

    kinds = [event.kind for event in recorder.events if event.kind in ("process-started", "run-finished")]
    assert kinds == ["process-started", "run-finished", "process-started"]
    assert psutil.Process(pids(recorder, "web")[-1]).cmdline()[-1].endswith("# 3")


def test_a_service_that_is_added_again_is_not_ready_at_once(scheduler: Watched) -> None:
    """The removal of a service sets its ready flag to wake the jobs that wait. The flag must not stay set."""
    running, recorder = scheduler
    running.replace([service("web", "exec sleep 60")])
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)
    running.replace([])
    until(lambda: recorder.outcomes("web") == ["stopped"])
    later = Job("job", parse("@manual"), Command("true"), Policy.from_options({"after": "web"}))
    running.replace([service("web", "exec sleep 60", ready_line="never"), later])
    run = running.trigger("job")
    sleep(0.1)
    assert not run.has_begun


def test_a_failed_service_that_is_changed_starts_again(scheduler: Watched) -> None:
    running, _ = scheduler
    running.replace([service("web", "exit 1", restart="never")])
    running.start()
    until(lambda: running.services["web"].state is ServiceState.FAILED)
    running.replace([service("web", "exec sleep 60", restart="never")])
    until(lambda: running.services["web"].state is ServiceState.READY)


def test_a_service_can_become_a_job_and_a_job_a_service(scheduler: Watched) -> None:
    running, recorder = scheduler
    job = Job("job", parse("@manual"), Command("true"), Policy())
    running.replace([service("web", "exec sleep 60"), job])
    running.start()
    until(lambda: len(running.running()) == 1)
    running.replace([Job("web", parse("@manual"), Command("true"), Policy()), service("job", "exec sleep 60")])
    until(lambda: recorder.outcomes("web") == ["stopped"])
    until(lambda: running.services["job"].state is ServiceState.READY)
    assert set(running.services) == {"job"}


def test_services_can_be_added_and_removed_while_the_scheduler_runs(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.start()
    running.service("exec sleep 60", name="web")
    until(lambda: running.services["web"].state is ServiceState.READY)
    running.remove("web")
    until(lambda: recorder.outcomes("web") == ["stopped"])
    assert running.services == {}
    assert not psutil.pid_exists(pids(recorder, "web")[0])


def test_a_service_can_be_stopped_and_restarted_by_request(scheduler: Watched) -> None:
    running, recorder = scheduler
    running.service("exec sleep 60", name="web")
    running.command("true", "@manual", name="job")
    running.start()
    until(lambda: running.services["web"].state is ServiceState.READY)

    running.restart_service("web", "restarted by ann")
    until(lambda: running.services["web"].state is ServiceState.READY)
    assert len(recorder.of("process-started", "web")) == 2
    changes = recorder.of("service-state-changed", "web")
    assert [str(event.state) for event in changes[2:]] == ["stopping", "starting", "ready"]
    assert {event.reason.text for event in changes[2:4]} == {"restarted by ann"}

    running.stop_service("web", "stopped by ann")
    until(lambda: running.services["web"].state is ServiceState.STOPPED)
    assert running.services["web"].reason.text == "stopped by ann"
    running.restart_service("web")
    until(lambda: running.services["web"].state is ServiceState.READY)

    with pytest.raises(ValueError, match="no service"):
        running.stop_service("job")
    with pytest.raises(KeyError):
        running.restart_service("no such service")
