"""Adding jobs by `command`, `job` and `load_crontab`, and what these refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gcron import cron
from gcron.cli.main import main
from gcron.crontab import CrontabError
from gcron.policy import PolicyError
from gcron.schedule import ScheduleError
from gcron.scheduler import Scheduler
from tests.waiting import PATIENCE


def test_a_command_accepts_the_options_of_directives(tmp_path: Path, scheduler: tuple[Scheduler, Any]) -> None:
    running, _ = scheduler
    job = running.command("pwd; exit 3", "@manual", name="where", cwd=tmp_path, success_codes=(0, 3), timeout="1m")
    assert (job.policy.timeout, job.name) == (60.0, "where")
    result = running.trigger("where").result.get(timeout=PATIENCE)
    assert (result.outcome, result.output_head) == ("succeeded", f"{tmp_path}\n".encode())


def test_a_command_without_a_name_is_its_own_name(scheduler: tuple[Scheduler, Any]) -> None:
    assert scheduler[0].command("echo hi", "@daily").name == "echo hi"


def test_the_decorator_returns_the_function(scheduler: tuple[Scheduler, Any]) -> None:
    @scheduler[0].job("@daily", description="adds", greenlet=True)
    def add() -> int:
        return 1 + 1

    assert add() == 2
    assert (scheduler[0].jobs[0].name, scheduler[0].jobs[0].policy.description) == ("add", "adds")


def test_wrong_arguments_are_refused_at_once(scheduler: tuple[Scheduler, Any]) -> None:
    running = scheduler[0]
    running.command("true", "@daily", name="taken")
    with pytest.raises(ValueError, match="named 'taken' already"):
        running.command("true", "@daily", name="taken")
    with pytest.raises(ScheduleError):
        running.command("true", "61 * * * *")
    with pytest.raises(PolicyError):
        running.command("true", "@daily", timeuot=5)
    with pytest.raises(ValueError, match="overlap, retry-delay means nothing to a service"):
        running.service("true", overlap="queue", retry_delay=5)
    with pytest.raises(ValueError, match="restart means nothing to a job that is no service"):
        running.command("true", "@daily", restart="never")
    assert [job.name for job in running.jobs] == ["taken"]


def test_a_crontab_is_loaded_with_names_and_directives(tmp_path: Path, scheduler: tuple[Scheduler, Any]) -> None:
    path = tmp_path / "crontab"
    path.write_text("GREETING=hello\n# gcron: name=greet\n@manual echo $GREETING; cat%world\n@daily true\n")
    running, recorder = scheduler
    jobs = running.load_crontab(str(path))
    assert [job.name for job in jobs] == ["greet", "true"]
    assert jobs[0].source == f"{path}:3"
    running.trigger("greet").result.get(timeout=PATIENCE)
    assert recorder.lines() == [b"hello", b"world"]


def test_a_crontab_with_an_error_adds_no_job(tmp_path: Path, scheduler: tuple[Scheduler, Any]) -> None:
    path = tmp_path / "crontab"
    path.write_text("@daily true\n61 * * * * false\n")
    with pytest.raises(CrontabError):
        scheduler[0].load_crontab(str(path))
    with pytest.raises(CrontabError):
        scheduler[0].load_crontab(str(tmp_path / "missing"))
    assert scheduler[0].jobs == ()


@pytest.mark.parametrize("kind", ["crontab", "command", "function"])
def test_schedules_without_a_zone_are_in_that_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """`load_crontab` took 9:00 in UTC, where `gcron next` said, and the documentation says, 9:00 in local time."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    path = tmp_path / "crontab"
    path.write_text("# gcron: name=job\n0 9 * * * true\n")
    scheduler = Scheduler()
    if kind == "crontab":
        scheduler.load_crontab(path)
    elif kind == "command":
        scheduler.command("true", "0 9 * * *", name="job")
    else:
        scheduler.job(cron("0 9 * * *"), name="job")(lambda: None)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    fire = next(scheduler.status("job").job.schedule.fires(start))
    assert fire == datetime(2026, 1, 2, tzinfo=UTC)
    assert main(["next", "--json", "--from", "2026-01-01T00:01Z", str(path)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["at"] == "2026-01-02T00:00:00Z"


def test_two_crontabs_with_the_same_command_load_beside_each_other(
    tmp_path: Path, scheduler: tuple[Scheduler, Any]
) -> None:
    """The second one raised ValueError: the name that was made up for its job was taken."""
    for name in ("first", "second"):
        (tmp_path / name).write_text("@daily /usr/bin/true\n")
        scheduler[0].load_crontab(str(tmp_path / name))
    assert [job.name for job in scheduler[0].jobs] == ["true", "true-2"]


def test_a_crontab_with_a_name_in_use_adds_no_job(tmp_path: Path, scheduler: tuple[Scheduler, Any]) -> None:
    path = tmp_path / "crontab"
    path.write_text("@daily echo first\n# gcron: name=taken\n@daily echo second\n")
    scheduler[0].command("true", "@daily", name="taken")
    with pytest.raises(ValueError, match="taken"):
        scheduler[0].load_crontab(str(path))
    assert [job.name for job in scheduler[0].jobs] == ["taken"]
