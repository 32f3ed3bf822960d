"""The commands that talk to a running gcron, as a user types them: what they print, and their exit statuses."""

from __future__ import annotations

import getpass
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE, until

Gcron = Callable[..., subprocess.CompletedProcess[str]]
CRONTAB = """\
# gcron: name=tick description='for tests'
@every 1s true
# gcron: name=backup overlap=skip
30 2 * * * printf 'one\\ntwo\\n'; printf 'three\\033[31m\\n' >&2
# gcron: name=york tz=America/New_York
30 2 * * * true
# gcron: name=fails
@manual echo bad; exit 3
# gcron: name=open-end
@manual printf 'first\\nno newline'
# gcron: name=slow timeout=1s
@manual sleep 600
# gcron: name=long
@manual echo begun; sleep 600
# gcron: name=web
@service exec sleep 600
# gcron: name=a-job-with-a-name-that-is-longer-than-most-columns-want-to-be
17 3 1-31/2 1,2,3,4,5,6 mon-fri true
"""


@pytest.fixture
def daemon(gcron_run: Callable[..., Any], runtime: Path) -> Any:
    started = gcron_run(CRONTAB, "--state", "memory")
    until(lambda: list(runtime.rglob("instance.json")))
    started.wait_for("tick +succeeded")
    return started


@pytest.fixture
def ask(daemon: Any, gcron: Gcron, runtime: Path) -> Callable[..., str]:
    """Run a command that succeeds; return what it prints. Of all gcrons, only that of the test is asked."""
    (socket,) = runtime.rglob("control.sock")

    def ask(*words: str, status: int = 0, **variables: str) -> str:
        done = gcron(words[0], "--instance", socket.parent.name, *words[1:], **variables)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout or done.stderr

    return ask


# -- looking -----------------------------------------------------------------------------------------------------


def test_status_is_a_table_of_jobs_and_services(ask: Callable[..., str]) -> None:
    ask("trigger", "fails", "--wait", status=3)
    tick_is_idle = r"@every 1s +ok +\d+s +\d+\.\ds +\.+ +in [01]s"
    text = until(lambda: (text := ask("status")) and "F" in text and re.search(tick_is_idle, text) and text)
    head, table, services = text.split("\n\n")
    assert re.match(
        r"crontab0-\w+: since .*, 8 jobs, 0 running, 1 failing, 0 overdue", head.replace("1 running", "0 running")
    )
    rows = {line.split()[0]: line for line in table.splitlines()}
    assert rows["JOB"].split() == ["JOB", "SCHEDULE", "LAST", "AGO", "TOOK", "LAST", "TEN", "NEXT"]
    assert re.search(tick_is_idle, rows["tick"])
    assert re.search(r"@manual +failed +\d+s +\d+\.\ds +F +-", rows["fails"])
    assert re.search(r"30 2 \* \* \* +- +in \d+[hm]", rows["backup"])
    assert re.search(r"web +ready +\d+s +0", services)


def test_status_of_one_job_by_a_part_of_its_name(ask: Callable[..., str]) -> None:
    text = ask("status", "tic")
    assert "for tests" in text
    assert "Every second" in text
    assert re.search(r"^RUN +WHEN +OUTCOME +TOOK", text, re.MULTILINE)
    record = json.loads(ask("status", "tick", "--json"))
    assert (record["job"], record["last_runs"][0]["outcome"] in ("succeeded", None)) == ("tick", True)
    assert json.loads(ask("status", "--json"))["jobs"][0]["job"] == "tick"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_status_fits_the_terminal(daemon: Any, terminal: Callable[..., bytes], columns: int, runtime: Path) -> None:
    (socket,) = runtime.rglob("control.sock")
    text = terminal("status", "--instance", socket.parent.name, COLUMNS=str(columns)).decode()
    lines = [re.sub(r"\x1b\[\d*m", "", line).rstrip("\r") for line in text.splitlines()]
    assert max(map(len, lines)) <= columns, text
    name = "a-job-with-a-name-that-is-longer-than-most-columns-want-to-be"
    assert (name in text) == (columns == 200)
    assert any(re.match(r"a-job-\S*…\S*to-be", line) for line in lines) == (columns < 200), text
    assert any(line.startswith("tick") for line in lines)


def test_status_in_a_c_locale_and_in_a_pipe(ask: Callable[..., str], gcron: Gcron) -> None:
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    text = ask("status", **variables)
    assert text.isascii()
    assert "a-job-with-a-name-that-is-longer-than-most-columns-want-to-be" in text, "a pipe has no width"


def test_history_in_words_and_as_json(ask: Callable[..., str]) -> None:
    ask("trigger", "fails", "--wait", status=3)
    until(lambda: "exit status 3" in ask("history", "fails"))
    header, row = ask("history", "fails").splitlines()
    assert header.split() == ["WHEN", "JOB", "OUTCOME", "TOOK", "CPU", "PEAK", "RUN", "WHY"]
    assert row.endswith("exit status 3")
    record = json.loads(ask("history", "fails", "--json"))
    assert (record["outcome"], record["exit_code"], record["output_bytes"]) == ("failed", 3, 4)
    assert 0 <= record["cpu_seconds"] < 5
    assert re.search(r" 0\.\ds +0\.\ds +", row), "TOOK and CPU"
    assert record["who"] == getpass.getuser()
    assert len(ask("history", "tick", "-n", "1").splitlines()) == 2
    assert {json.loads(line)["job"] for line in ask("history", "--failed", "--json").splitlines()} == {"fails"}
    assert ask("history", "--since", "+1d") == "no runs\n"
    assert len(ask("history", "--since", "-1d", "--json").splitlines()) > 1
    assert "is not a date or time" in ask("history", "--since", "yesterday", status=2)
    assert "is no outcome" in ask("history", "--outcome", "fine", status=2)


def test_logs_are_the_bytes_that_a_run_wrote(ask: Callable[..., str]) -> None:
    printed = ask("trigger", "backup", "--wait")
    assert sorted(printed.splitlines()) == ["one", "three\x1b[31m", "two"]
    assert sorted(ask("logs", "backup").splitlines()) == ["one", "three\x1b[31m", "two"]
    assert len(ask("logs", "backup", "--tail", "1").splitlines()) == 1
    run_id = json.loads(ask("history", "backup", "--json"))["run_id"]
    assert len(ask("logs", "backup", run_id[:6]).splitlines()) == 3
    assert "no run of backup" in ask("logs", "backup", "zzz", status=4)
    assert "no output of a-job" in ask("logs", "a-job", status=1)


def test_logs_with_timestamps_show_the_time_and_the_stream_of_each_line(ask: Callable[..., str]) -> None:
    ask("trigger", "backup", "--wait")
    lines = ask("logs", "backup", "--timestamps").splitlines()
    found = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  (stdout|stderr)  (.*)", line) for line in lines]
    assert sorted(match.groups() for match in found if match) == [
        ("stderr", "three\x1b[31m"),
        ("stdout", "one"),
        ("stdout", "two"),
    ]
    run_id = json.loads(ask("history", "backup", "--json"))["run_id"]
    assert ask("logs", "backup", run_id, "-f", "--timestamps").splitlines() == lines
    assert len(ask("logs", "backup", "--timestamps", "--tail", "1").splitlines()) == 1


def test_logs_are_exact_in_a_pipe_and_end_their_last_line_on_a_terminal(
    ask: Callable[..., str], terminal: Callable[..., bytes], runtime: Path
) -> None:
    """Output without a newline at its end got one, so that `gcron logs report > report.pdf` was no whole PDF."""
    assert ask("trigger", "open-end", "--wait") == "first\nno newline"
    assert ask("logs", "open-end") == "first\nno newline"
    assert ask("logs", "open-end", "--tail", "1") == "no newline"
    (socket,) = runtime.rglob("control.sock")
    assert terminal("logs", "--instance", socket.parent.name, "open-end") == b"first\r\nno newline\r\n"


def test_control_bytes_do_not_reach_a_terminal(
    ask: Callable[..., str], terminal: Callable[..., bytes], runtime: Path
) -> None:
    ask("trigger", "backup", "--wait")
    (socket,) = runtime.rglob("control.sock")
    text = terminal("logs", "--instance", socket.parent.name, "backup")
    assert b"three\\x1b[31m" in text
    assert b"\x1b[31m" not in text


def test_logs_follow_a_job_from_run_to_run(ask: Callable[..., str], runtime: Path) -> None:
    (socket,) = runtime.rglob("control.sock")
    follower = subprocess.Popen(
        [sys.executable, "-m", "gcron", "logs", "--instance", socket.parent.name, "long", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stderr is not None
        assert follower.stdout is not None
        assert "waiting for its next run" in follower.stderr.readline()
        ask("trigger", "long")
        assert follower.stdout.readline() == "begun\n"
        ask("stop", "long")
        assert follower.stderr.readline().startswith("gcron: long: ")
        ask("trigger", "long")
        assert follower.stdout.readline() == "begun\n"
        run_id = json.loads(ask("status", "long", "--json"))["running"][0]["run_id"]
        ask("stop", "long")
        assert follower.stderr.readline().startswith("gcron: long: ")
        assert follower.poll() is None
        assert ask("logs", "long", run_id, "-f") == "begun\n", "a single run has an end"
    finally:
        follower.kill()
        follower.communicate()


def test_why(ask: Callable[..., str]) -> None:
    assert "not due: the hour was 3, and the schedule says hour 02" in ask("why", "backup", "03:30")
    assert "this gcron started only at" in ask("why", "backup", "2020-01-01T02:30")
    record = json.loads(ask("why", "backup", "2020-01-01T02:30", "--json"))
    assert (record["due"], record["verdict"]) == (True, "before-start")
    assert "is no time" in ask("why", "backup", "soon", status=2)


def test_why_answers_in_the_zone_of_the_job(ask: Callable[..., str]) -> None:
    """Asked about 02:30 in New York, it answered about 07:30, beside fields that were those of New York."""
    answer = ask("why", "york", "02:30", TZ="Asia/Tokyo")
    assert re.match(r"york at \d{4}-\d\d-\d\d 02:30:00: due; ", answer)
    assert "(America/New_York)" in answer
    answer = ask("why", "york", "2026-01-29T20:53", TZ="Asia/Tokyo")
    assert answer.startswith("york at 2026-01-29 20:53:00: not due: ")
    assert "it was 29" in answer
    assert "the last before it 2026-01-29 02:30:00, the next after it 2026-01-30 02:30:00" in answer


# -- doing -------------------------------------------------------------------------------------------------------


def test_trigger_waits_and_exits_as_exec_does(ask: Callable[..., str], daemon: Any) -> None:
    assert ask("trigger", "fails", "--wait", status=3) == "bad\n"
    assert "timed-out" in ask("trigger", "slow", "--wait", status=124)
    assert re.match(r"long: started, run \w{16}\n", ask("trigger", "long", "--why", "a test"))
    daemon.wait_for("long +triggered by .*: a test")
    assert "skipped: the run" in ask("trigger", "long", status=1)
    assert "skipped: the run" in ask("trigger", "long", "--wait", status=125)
    assert "being killed" in ask("stop", "long", "--now")


def test_ctrl_c_ends_the_waiting_and_not_the_job(ask: Callable[..., str], daemon: Any, runtime: Path) -> None:
    (socket,) = runtime.rglob("control.sock")
    waiter = subprocess.Popen(
        [sys.executable, "-m", "gcron", "trigger", "--instance", socket.parent.name, "long", "--wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == "begun\n"
    waiter.send_signal(signal.SIGINT)
    _, errors = waiter.communicate(timeout=PATIENCE)
    assert waiter.returncode == 130
    assert "long goes on" in errors
    assert len(json.loads(ask("status", "long", "--json"))["running"]) == 1


def test_a_run_is_stopped_by_its_job_or_its_id(ask: Callable[..., str]) -> None:
    for _ in range(2):
        run_id = json.loads(ask("trigger", "long", "--json"))["run_id"]
        assert run_id in ask("stop", "long", "--why", "too long")
        until(lambda: not json.loads(ask("status", "long", "--json"))["running"])
    run_id = json.loads(ask("trigger", "long", "--json"))["run_id"]
    ask("stop", run_id)
    until(lambda: not json.loads(ask("status", "long", "--json"))["running"])
    assert "not under way" in ask("stop", run_id, status=1)
    assert "no run of 'long' is under way" in ask("stop", "long", status=1)


def test_a_job_is_paused_and_resumed(ask: Callable[..., str], daemon: Any) -> None:
    assert re.search(r"backup: paused until \d{4}-", ask("pause", "backup", "--for", "2h", "--why", "a deploy"))
    daemon.wait_for(f"backup +paused until [-0-9: ]+Z by {getpass.getuser()}: a deploy")
    assert re.search(r"backup.*paused [12]h", ask("status"))
    assert "a deploy" in ask("status", "backup")
    assert "due next at" in ask("resume", "backup")
    daemon.wait_for(f"backup +resumed by {getpass.getuser()}")
    assert "was not paused" in ask("resume", "backup")
    assert "until gcron resume" in ask("pause", "backup")
    assert "for: 'soon'" in ask("pause", "backup", "--for", "soon", status=2)
    assert "is a service" in ask("pause", "web", status=1)
    assert "not both" in ask("pause", "backup", "--for", "1h", "--until", "+1d", status=2)


def test_a_service_is_restarted_and_stopped(ask: Callable[..., str], daemon: Any) -> None:
    first = json.loads(ask("status", "web", "--json"))["running"][0]["pid"]
    ask("restart", "web", "--why", "a test")

    def pid() -> Any:
        running = json.loads(ask("status", "web", "--json"))["running"]
        return running and running[0]["pid"]

    assert until(lambda: pid() not in (first, None, []) and pid()) != first
    ask("stop", "web")
    until(lambda: json.loads(ask("status", "web", "--json"))["service"]["state"] == "stopped")
    assert "no service" in ask("restart", "tick", status=1)


def test_reload_says_what_has_changed_or_what_is_wrong(ask: Callable[..., str], tmp_path: Path) -> None:
    crontab = tmp_path / "crontab0"
    assert "nothing has changed" in ask("reload")
    crontab.write_text(CRONTAB + "* * * * zzz\n")
    text = ask("reload", status=1)
    assert "nothing is changed" in text
    assert "'zzz' is not a day of week" in text
    assert "crontabs on disk are wrong" in ask("status")
    crontab.write_text(CRONTAB + "# gcron: name=new\n@manual true\n")
    until(lambda: "new" in ask("status"))
    assert "nothing has changed" in ask("reload")


# -- which job, which gcron --------------------------------------------------------------------------------------


def test_an_unknown_job_is_status_4_with_the_nearest_name(ask: Callable[..., str]) -> None:
    assert "did you mean backup (" in ask("status", "bakcup", status=4)
    several = ask("trigger", "l", status=4)
    assert "names have that part" in several
    assert len(several.splitlines()) == 1
    assert ask("status", "crontab0:4").startswith("job           backup\n")


def test_no_gcron_is_status_3(gcron: Gcron, runtime: Path) -> None:
    for command in (["status", "--instance", "none"], ["reload", "--socket", "/none/sock"]):
        done = gcron(*command)
        assert done.returncode == 3
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) >= 1


def test_history_without_a_gcron_names_the_command_that_needs_none(gcron: Gcron, runtime: Path) -> None:
    """With gcron down, nothing led to the runs that it had written."""
    done = gcron("history", "--instance", "none")
    assert done.returncode == 3
    assert "`gcron state export`" in done.stderr.splitlines()[-1]


def test_the_gcron_of_a_crontab_is_found(daemon: Any, gcron: Gcron, tmp_path: Path) -> None:
    done = gcron("status", "--instance", "crontab0")
    assert done.returncode == 0, done.stderr
    assert "tick" in done.stdout


def test_a_job_that_was_stopped_on_request_is_not_failing(ask: Callable[..., str], daemon: Any) -> None:
    """After `gcron stop` of a job, `gcron status` counted it as failing, as if somebody had to look after it."""
    ask("trigger", "long")
    daemon.wait_for("begun")
    ask("stop", "long", "--now")
    until(lambda: re.search(r"^long .*stopped", ask("status"), re.MULTILINE))
    assert " 0 failing" in ask("status")
    (job,) = [job for job in json.loads(ask("status", "--json"))["jobs"] if job["job"] == "long"]
    assert (job["recent"], job["failed"], job["runs"]) == (["stopped"], 0, 1)
    runs = [json.loads(line) for line in ask("history", "long", "--json").splitlines()]
    assert [(run["outcome"], run["reason_code"]) for run in runs] == [("killed", "stop-requested")]
    assert ask("history", "long", "--failed", "--json") == "", "it was listed as a failure"


def test_the_commands_know_the_outcomes_that_are_failures() -> None:
    """They do not import those of the scheduler, for a quick start."""
    from gcron.control import failures
    from gcron.supervise import outcome

    assert frozenset(map(str, outcome.FAILURES)) == failures.FAILURES
