"""The page "coming from APScheduler": each line of its table is tried, and each word of APScheduler is answered."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gcron import Outcome, RunFinished, Scheduler, at, cron, current_run, every
from gcron.policy import OPTIONS, PolicyError
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE

PAGE = Path(__file__).parents[1] / "docs" / "coming-from-apscheduler.md"
ROWS = dict(re.findall(r"^\| (`.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
LATER = datetime(2060, 1, 1, tzinfo=UTC)
# What APScheduler calls as we do.
SAME = {"args", "kwargs", "jitter", "trigger", "wait", "grace"}


def work() -> str:
    return "done"


def added(scheduler: Scheduler, when: Any, **options: Any) -> Any:
    """The schedule of a job that is added so."""
    scheduler.job(when, name="job", **options)(work)
    return scheduler.status("job").job.schedule


def fires(schedule: Any, count: int = 2) -> list[str]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [f"{fire:%d %H:%M}" for fire, _ in zip(schedule.fires(start), range(count), strict=False)]


def ran(scheduler: Scheduler, **options: Any) -> Any:
    scheduler.job("@manual", name="job", **options)(work)
    return scheduler.trigger("job").result.get(timeout=PATIENCE)


# -- one function for each line: it does what the second column says -----------------------------------------


def run_blocks(it: Scheduler) -> None:
    it.job("@reboot", name="job")(lambda: it.stop(wait=False))
    it.run(grace=0)
    assert it.has_stopped


def thread_is_ours(it: Scheduler) -> None:
    it.start_thread(grace=0)
    assert ran(it).value == "done"


def beside_greenlets(it: Scheduler) -> None:
    it.start(grace=0)
    assert ran(it, greenlet=True).value == "done"


def coroutines_run(it: Scheduler) -> None:
    async def answer() -> int:
        return 42

    it.job("@manual", name="job")(answer)
    it.start_thread(grace=0)
    assert it.trigger("job").result.get(timeout=PATIENCE).value == 42


def daily(it: Scheduler) -> None:
    assert fires(added(it, cron("30 2 * * *"))) == ["01 02:30", "02 02:30"]


def crontab_text(it: Scheduler) -> None:
    assert fires(added(it, "*/5 * * * *")) == ["01 00:05", "01 00:10"]


def periods(it: Scheduler) -> None:
    assert fires(added(it, every("5m"))) == ["01 00:05", "01 00:10"]
    assert every(timedelta(minutes=5)) == every("5m")


def first_now(it: Scheduler) -> None:
    it.job(every("5m", now=True), name="job")(it.stop)
    it.job(every("5m", now=True), name="other")(lambda: it.stop(wait=False))
    it.remove("job")
    it.run(grace=0)
    assert it.counts.of("other").succeeded == 1


def bounded(it: Scheduler) -> None:
    schedule = added(it, every("2w", start="2026-01-05", end="2026-01-20"))
    assert fires(schedule, 9) == ["05 00:00", "19 00:00"]


def once(it: Scheduler) -> None:
    assert [*added(it, at(LATER)).fires(LATER - timedelta(days=9))] == [LATER]


def decorator(it: Scheduler) -> None:
    assert it.job("@daily")(work) is work


def names(it: Scheduler) -> None:
    it.job("@daily")(work)
    it.job("@daily", name="x")(work)
    assert [job.name for job in it.jobs] == ["work", "x"]


def one_at_a_time(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    assert it.status("job").job.policy.overlap == "skip"


def several(it: Scheduler) -> None:
    it.group("g", limit=3)
    it.job("@daily", name="job", overlap="allow", group="g")(work)
    assert [group.limit for group in it.groups] == [3]


def made_up(it: Scheduler) -> None:
    it.job("@daily", name="job", catchup="last", start_deadline=600)(work)
    assert it.status("job").job.policy.start_deadline == 600


def all_made_up(it: Scheduler) -> None:
    it.job("@daily", name="job", catchup="all")(work)
    assert it.status("job").job.policy.catchup == "all"


def late_by_chance(it: Scheduler) -> None:
    it.job("@daily", name="job", jitter=30)(work)
    assert it.status("job").job.policy.jitter == 30


def paused(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    it.pause("job")
    assert it.is_paused("job")
    it.resume("job")
    assert not it.is_paused("job")


def rescheduled(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    it.reschedule("job", "@hourly")
    assert it.status("job").job.schedule.text == "@hourly"


def replaced(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    it.remove("job")
    assert added(it, "@weekly").text == "@weekly"


def limits(it: Scheduler) -> None:
    schedule = added(it, cron("0 9 * * *", start="2026-01-03", end="2026-01-04", tz="Asia/Tokyo"))
    assert fires(schedule, 9) == ["03 09:00", "04 09:00"]


def removed(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    it.remove("job")
    assert it.jobs == ()


def run_now(it: Scheduler) -> None:
    assert ran(it).value == "done"


def looked_at(it: Scheduler) -> None:
    it.job("@daily", name="job")(work)
    (job,) = it.jobs
    assert it.get_job("job") is job
    assert it.get_job("other") is None
    assert [status.job for status in it.overview()] == [it.status("job").job] == [job]


def state(it: Scheduler) -> None:
    """`if not scheduler.running: scheduler.start()` never starts, and nothing is wrong for Python."""
    assert not it.is_started
    it.start(grace=0)
    assert it.is_started
    assert it.running() == []
    it.stop(grace=0)
    assert not it.is_started


def starts_paused(it: Scheduler) -> None:
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with clock.installed():
        quiet = Scheduler(clock=clock, logger=None)
        quiet.job("@hourly", name="job", greenlet=True)(work)
        quiet.pause("job")
        quiet.start()
        assert quiet.upcoming() == []
        quiet.stop(grace=0)
    with pytest.raises(TypeError, match=r"start\(\) has no argument 'paused': pause\(name\)"):
        it.start(paused=True)  # type: ignore[call-arg]


def pools(it: Scheduler) -> None:
    Scheduler(threads=8)


def shut_down(it: Scheduler) -> None:
    it.start()
    it.stop(grace=30)
    it.start()
    it.stop(wait=False)
    assert it.is_stopping


def listened_to(it: Scheduler) -> None:
    seen: list[RunFinished] = []
    it.on("run-finished", seen.append)
    it.job("@manual", name="job")(lambda: 1 / 0)
    it.start(grace=0)
    assert it.trigger("job").result.get(timeout=PATIENCE).outcome is Outcome.FAILED
    assert [event.result.succeeded for event in seen] == [False]


def arguments(it: Scheduler) -> None:
    it.job("@manual", name="job", args=[1], kwargs={"two": 2})(lambda one, two: (one, two, current_run().job))
    assert it.trigger("job").result.get(timeout=PATIENCE).value == (1, 2, "job")


def commands(it: Scheduler) -> None:
    it.command("echo hello; exit 3", "@manual", name="job", timeout=60)
    result = it.trigger("job").result.get(timeout=PATIENCE)
    assert (result.outcome, result.exit_code, result.output_head) == (Outcome.FAILED, 3, b"hello\n")


CHECKS: dict[str, Callable[[Scheduler], None]] = {
    "`BlockingScheduler()`, `.start()`": run_blocks,
    "`BackgroundScheduler()`, `.start()`": thread_is_ours,
    "`GeventScheduler()`": beside_greenlets,
    "`AsyncIOScheduler()`": coroutines_run,
    '`add_job(f, "cron", hour=2, minute=30)`': daily,
    '`add_job(f, CronTrigger.from_crontab("*/5 * * * *"))`': crontab_text,
    '`add_job(f, "interval", minutes=5)`': periods,
    '`add_job(f, "interval", minutes=5, next_run_time=datetime.now())`': first_now,
    '`add_job(f, "interval", weeks=2, start_date=…, end_date=…)`': bounded,
    '`add_job(f, "date", run_date=moment)`': once,
    "`@scheduler.scheduled_job(…)`": decorator,
    '`id="x"`': names,
    "`max_instances=1`": one_at_a_time,
    "`max_instances=n`": several,
    "`coalesce=True`, `misfire_grace_time=600`": made_up,
    "`coalesce=False`": all_made_up,
    "`jitter=30`": late_by_chance,
    "`pause_job(id)`, `resume_job(id)`": paused,
    "`reschedule_job(id, trigger=…)`": rescheduled,
    "`replace_existing=True`": replaced,
    "`executor=`, `jobstore=`": run_now,
    "`seconds=`, `minutes=`, `hours=`, …": periods,
    "`start_date=`, `end_date=`, `timezone=`": limits,
    "`remove_job(id)`": removed,
    "`modify_job(id, next_run_time=now)`": run_now,
    "`modify_job(id, max_instances=…)`": replaced,
    "`get_job(id)`, `get_jobs()`, `print_jobs()`": looked_at,
    "`scheduler.running`, `scheduler.state`": state,
    "`start(paused=True)`": starts_paused,
    "`Scheduler(executors=…, jobstores=…, job_defaults=…)`": pools,
    "`add_executor(…)`, `add_jobstore(…)`, `configure(…)`": pools,
    "`shutdown(wait=True)`, `shutdown(wait=False)`": shut_down,
    "`add_listener(f, EVENT_JOB_ERROR)`": listened_to,
    "`ThreadPoolExecutor(8)`": pools,
    "`args=[…]`, `kwargs={…}`": arguments,
    "`subprocess.run` in a job": commands,
}


@pytest.mark.parametrize("row", ROWS)
def test_each_line_of_the_table_does_what_it_says(row: str, make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler(timezone="UTC", logger=None)
    CHECKS[row](scheduler)


def test_no_check_is_for_a_line_that_is_gone() -> None:
    assert CHECKS.keys() <= ROWS.keys()


# -- the words ------------------------------------------------------------------------------------------------

OF_JOBS = {
    word for row in ROWS if not row.startswith("`S") for word in re.findall(r"(\w+)=", row) if word not in SAME
} - {"paused"}
OF_SCHEDULERS = {
    word for row in ROWS for word in re.findall(r"(?:scheduler\.|\b)(\w+)(?=\()|scheduler\.(\w+)", row) for word in word
} - {"", "from_crontab", "now"}


@pytest.mark.parametrize("word", sorted(OF_JOBS))
def test_a_keyword_of_a_job_is_answered(word: str, make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    assert word.replace("_", "-") not in OPTIONS
    with pytest.raises(PolicyError, match=rf"unknown option '{word}' \(\S"):
        scheduler.job("@daily", **{word: 1})


@pytest.mark.parametrize("word", ["executors", "jobstores", "job_defaults", "daemon", "max_workers"])
def test_a_keyword_of_a_scheduler_is_answered(word: str) -> None:
    """It was "got an unexpected keyword argument", which says nothing of what would be right."""
    with pytest.raises(TypeError, match=rf"Scheduler\(\) has no argument '{word}': \S"):
        Scheduler(**{word: True})


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: cron(hour=2, minute=30), r"cron\(\) has no argument 'hour': cron\('"),  # type: ignore[call-arg]
        (lambda: cron("@daily", timezone="UTC"), r"cron\(\) has no argument 'timezone': tz="),  # type: ignore[call-arg]
        (lambda: every(minutes=5), r"every\(\) has no argument 'minutes': every\('5m'\)"),  # type: ignore[call-arg]
        (lambda: every("5m", start_date="2026-01-01"), "start="),  # type: ignore[call-arg]
        (lambda: every("5m", jitter=5), "an option of the job"),  # type: ignore[call-arg]
    ],
)
def test_a_keyword_of_a_schedule_is_answered(call: Callable[[], object], hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        call()


@pytest.mark.parametrize("word", sorted(OF_SCHEDULERS | {"remove_all_jobs", "remove_executor", "remove_jobstore"}))
def test_a_method_is_there_or_answered(word: str, make_scheduler: Any) -> None:
    scheduler, _ = make_scheduler()
    if word[0].isupper() or hasattr(scheduler, word):
        return
    with pytest.raises(AttributeError, match=f"a Scheduler has no '{word}': use "):
        getattr(scheduler, word)


def test_a_wrong_word_that_nobody_else_has_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'threds'"):
        Scheduler(threds=8)  # type: ignore[call-arg]


def test_failures_are_logged_anyway(make_scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    scheduler, _ = make_scheduler()
    scheduler.job("@manual", name="job")(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "gcron"):
        scheduler.trigger("job").result.get(timeout=PATIENCE)
    assert "ZeroDivisionError" in caplog.text


# -- the program ----------------------------------------------------------------------------------------------

APP, JOBS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
VISITS = """
import time
from app import app, prices, scheduler

while not prices or scheduler.running():  # the first run, which is due at the start
    time.sleep(0.01)
client = app.test_client()
answer = client.post("/jobs/refresh/run").json
assert answer == {"outcome": "succeeded", "reason": ""}, answer
assert prices == {"apple": 3}
assert client.get("/jobs").json == {"refresh": "@every 300s"}, client.get("/jobs").json
scheduler.stop()
"""


def visited(directory: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "error", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_flask_program_works_as_written(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    visited(tmp_path, "-c", VISITS)


def test_the_process_that_looks_for_changes_has_no_scheduler(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    look = "from app import scheduler; print(scheduler.is_started); scheduler.stop()"
    # The first run may be refused by the stop, which is logged.
    assert visited(tmp_path, "-c", look, FLASK_DEBUG="1").splitlines()[-1] == "False"
    assert visited(tmp_path, "-c", look, FLASK_DEBUG="1", WERKZEUG_RUN_MAIN="true").splitlines()[-1] == "True"


def test_the_scheduler_has_a_process_of_its_own(tmp_path: Path) -> None:
    """The page's program is extended so that it ends."""
    lines = APP.rstrip().splitlines()
    assert lines[-1].strip().startswith("scheduler.start_thread")
    (tmp_path / "app.py").write_text("\n".join(lines[:-2]))
    ends = "from app import prices, scheduler\nscheduler.on('run-finished', lambda _: scheduler.stop(wait=False))\n"
    assert visited(tmp_path, "-c", ends + JOBS + "print(prices)") == "{'apple': 3}\n"
