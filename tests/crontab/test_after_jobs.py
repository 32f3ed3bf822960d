"""`@after`: names of jobs as a schedule, in lines and in directives, and what is wrong with them across files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcron.crontab import LoadSettings, load_all, parse, render_all
from gcron.schedule import AfterJobsSchedule, ScheduleError, core_of
from gcron.schedule import parse as parse_schedule

BOTH = "# gcron: name=extract\n@daily a\n# gcron: name=load\n@daily b\n"


def problems(folder: Path, *texts: str) -> str:
    """What is wrong with files that are loaded together; their names are letters."""
    paths = []
    for name, text in zip("abc", texts, strict=False):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
        paths.append(str(folder / name))
    return render_all(load_all(paths, LoadSettings()).problems).replace(f"{folder}/", "")


def test_the_names_are_a_word_with_commas() -> None:
    crontab = parse(f"{BOTH}@after extract,load  transform --all\n")
    assert crontab.problems == ()
    entry = crontab.entries[2]
    assert (entry.schedule_text, entry.command, entry.name) == ("@after extract,load", "transform --all", "transform")
    assert isinstance(entry.schedule, AfterJobsSchedule)
    assert (entry.schedule.jobs, entry.schedule.kind) == (("extract", "load"), "after-jobs")
    assert entry.schedule.next_after(0) is None


def test_a_directive_leaves_the_fields_to_other_crons() -> None:
    entry = parse(f'{BOTH}# gcron: after-jobs="extract, load"\n0 4 * * * transform\n').entries[2]
    assert entry.schedule == parse_schedule("@after extract,load")
    assert entry.command == "transform"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@after", "@after needs the names of jobs"),
        ("@after ,load", "@after has a comma without a name"),
        ("@after a, b", "@after has a comma without a name"),
        ("@After a", "'@After' is not a nickname"),
    ],
)
def test_what_is_no_list_of_names_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(text)
    assert caught.value.message == message
    assert caught.value.hint


def test_a_directive_with_a_wrong_list_is_refused_at_its_place() -> None:
    (problem,) = parse("# gcron: after-jobs=a,,b\n@daily x\n").problems
    assert (problem.line, problem.column) == (1, 21)
    assert problem.message == "after-jobs cannot be 'a,,b': @after has a comma without a name"
    (problem,) = parse("# gcron: after-jobs=a every=5m\n@daily x\n").problems
    assert problem.message == "after-jobs and every exclude each other"


def test_a_delay_and_limits_do_not_apply() -> None:
    crontab = parse("RANDOM_DELAY=30\n# gcron: end=2099-01-01\n@after a b\n")
    assert core_of(crontab.entries[0].schedule) is crontab.entries[0].schedule
    assert [problem.message for problem in crontab.warnings] == [
        "start, end, except-on and now mean nothing to @after a"
    ]


def test_jobs_of_other_files_can_be_named(tmp_path: Path) -> None:
    assert problems(tmp_path, BOTH, "# gcron: name=transform\n@after extract,load t\n", "@after transform t\n") == ""


def test_a_wrong_name_is_shown_at_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, BOTH, "\n  @after  extract,laod,extra t\n") == (
        "b:2:19: error: @after names 'laod', which does not exist\n"
        "      @after  extract,laod,extra t\n"
        "                      ^^^^\n"
        "  hint: did you mean load?\n"
        "b:2:24: error: @after names 'extra', which does not exist\n"
        "      @after  extract,laod,extra t\n"
        "                           ^^^^^\n"
        "  hint: did you mean extract?"
    )
    assert problems(tmp_path, BOTH, "# gcron: after-jobs=laod\n0 4 * * * t\n") == (
        "b:2:1: error: @after names 'laod', which does not exist\n  hint: did you mean load?"
    )


def test_a_service_and_the_job_itself_are_no_jobs_to_run_after(tmp_path: Path) -> None:
    assert problems(tmp_path, "# gcron: name=db\n@service serve\n# gcron: name=x\n@after db,x x\n") == (
        "a:4:8: error: @after names 'db', which is a service: it is kept running, and does not succeed\n"
        "    @after db,x x\n"
        "           ^^\n"
        "  hint: after=db waits until a service is ready\n"
        "a:4:11: error: @after names the job itself\n"
        "    @after db,x x\n"
        "              ^\n"
        "  hint: name the jobs that must succeed before it"
    )


def test_a_circle_is_shown_with_all_its_jobs(tmp_path: Path) -> None:
    text = "# gcron: name=a\n@after b a\n# gcron: name=b\n@after x,c b\n@daily x\n"
    found = problems(tmp_path, text, "# gcron: name=c\n@after a c\n")
    assert found.count("error") == 1
    assert "jobs run after one another in a circle: " in found
    assert {"a after b after c after a", "b after c after a after b", "c after a after b after c"} & {
        found.split("circle: ")[1].splitlines()[0]
    }
    assert found.endswith("hint: leave one of these @after out")


def test_catchup_means_nothing_to_a_chained_job(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{BOTH}# gcron: catchup=last timeout=1h\n@after load t\n") == (
        "a:6:1: warning: catchup= means nothing to a job with @after\n  hint: it is ignored"
    )


def test_a_users_crontab_names_the_jobs_of_that_user() -> None:
    from gcron.crontab.spool import UserFile, as_of_user

    crontab = as_of_user(parse("# gcron: name=load\n@daily a\n@after load b\n"), UserFile("alice", "alice", 3001))
    schedule = crontab.entries[1].schedule
    assert isinstance(schedule, AfterJobsSchedule)
    assert schedule.jobs == ("alice:load",)


def test_wrong_names_among_very_many_take_no_time(tmp_path: Path) -> None:
    lines = [f"# gcron: name=job{number}\n@daily true\n" for number in range(5000)]
    assert "hint: gcron list shows the names" in problems(tmp_path, "".join(lines), "@after jbo1 true\n")
