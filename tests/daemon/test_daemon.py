"""`gcron run` as a process: signals, shutdown, exit statuses, reload."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.daemon.daemon import Daemon, Settings
from gcron.daemon.formats.text import TextFormat
from gcron.daemon.log import LogSettings
from gcron.greenlet import GreenletExit, sleep, spawn_later
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job
from gcron.supervise.python_call import PythonCall
from gcron.supervise.timing import Timing
from tests.conftest import Gate
from tests.waiting import PATIENCE, takes, until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]
DEAF = (
    f"{sys.executable} -c 'import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    ' os.write(1, b"deaf" + bytes([10])); time.sleep(%s)\''
)


def test_the_log_has_the_number_of_jobs_and_a_clean_stop(gcron_run: Run) -> None:
    daemon = gcron_run("@reboot echo hello\n@manual true\n")
    daemon.wait_for("succeeded")
    assert daemon.stop() == 0
    log = daemon.log
    assert "2 jobs from" in log
    assert "| hello" in log
    assert log.splitlines()[-1].endswith("stopped")
    assert daemon.errors == ""


def test_the_greeting_says_when_the_next_job_is_due_as_people_do(gcron_run: Run) -> None:
    """It was "the next in 64456 s"."""
    daemon = gcron_run("0 0 1 1 * true\n")
    (when,) = daemon.wait_for(r"1 job from \S+, the next in (.*?); Ctrl-C stops")
    assert re.fullmatch(r"\d{1,3} d \d{1,2} h|\d{1,2} h \d{1,2} min|\d{1,2} (?:min|s)", when)
    assert daemon.stop() == 0


def test_the_log_can_be_in_logfmt(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=job\n@reboot echo hello\n", "--log-format", "logfmt")
    daemon.wait_for(" event=run-finished job=job .* outcome=succeeded ")
    assert daemon.stop() == 0
    assert re.search(" event=output job=job .* line=hello$", daemon.log, re.MULTILINE)


@pytest.mark.realtime
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_each_stop_signal_ends_an_idle_gcron_at_once(gcron_run: Run, signum: signal.Signals) -> None:
    daemon = gcron_run("@daily true\n")
    daemon.wait_for("Ctrl-C stops")
    with takes(at_most=2):
        assert daemon.stop(signum) == 0


@pytest.mark.realtime
def test_during_the_grace_jobs_finish_and_no_job_starts(gcron_run: Run, gate: Gate) -> None:
    daemon = gcron_run(
        f"# gcron: name=long\n@reboot echo up; {gate.wait}; echo finished\n# gcron: name=new\n@every 1s true\n"
    )
    daemon.wait_for(r"\| up")
    daemon.send(signal.SIGTERM)
    daemon.wait_for("SIGTERM: stopping, waiting up to 30 s for long")
    started = len(re.findall("new +started", daemon.log))
    time.sleep(1.1)  # longer than from one fire to the next
    gate.open()
    assert daemon.wait() == 0
    assert "| finished" in daemon.log
    assert len(re.findall("new +started", daemon.log)) == started


def test_after_the_grace_jobs_are_killed_and_the_exit_status_is_3(
    gcron_run: Run, marked_processes: Find, unique: str
) -> None:
    daemon = gcron_run(f"# gcron: name=long\n@reboot sleep {unique} & echo up; wait\n", "--grace", "0.2")
    daemon.wait_for(r"\| up")
    assert daemon.stop() == 3
    assert "killed: still running 0.2 s after gcron was told to stop" in daemon.log
    assert "had to be killed: long" in daemon.log
    assert marked_processes(unique) == []


@pytest.mark.realtime
def test_a_stop_waits_only_for_jobs_that_run_and_names_each_once(gcron_run: Run, gate: Gate) -> None:
    """The log said `waiting up to 30 s for r, x, jit` about a retry, a job that waited for a service, and a jitter.

    All of these end at once. A job with three runs was named three times.
    """
    daemon = gcron_run(
        f"# gcron: name=long overlap=allow\n@every 1s {gate.wait}\n"
        "# gcron: name=retried retries=1 retry-delay=1h\n@reboot exit 1\n"
        "# gcron: name=delayed jitter=1h\n@every 1s true\n"
        "# gcron: name=never ready-line=never\n@service exec sleep 100\n"
        "# gcron: name=behind after=never\n@reboot true\n"
    )
    daemon.wait_for("attempt 1 failed: exit status 1; next in")
    daemon.wait_for("behind   waits for the service never")
    daemon.wait_for("long     started", 2)
    daemon.send(signal.SIGTERM)
    daemon.wait_for(r"SIGTERM: stopping, waiting up to 30 s for long \(once more: kill now\)")
    gate.open()
    assert daemon.wait() == 0


@pytest.mark.realtime
def test_quit_stops_without_grace(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    daemon = gcron_run(f"@reboot echo up; sleep {unique}\n")
    daemon.wait_for(r"\| up")
    with takes(at_most=5):
        assert daemon.stop(signal.SIGQUIT) == 3
    assert re.search(r"SIGQUIT: stopping, with no grace for \S+ \(once more: kill now\)", daemon.log)
    # It was "still running 0 s after …".
    assert "killed: still running when gcron was told to stop without grace" in daemon.log
    assert marked_processes(unique) == []


@pytest.mark.realtime
def test_a_second_signal_kills_at_once(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    deaf = DEAF % unique
    daemon = gcron_run(f"# gcron: kill-after=1h name=deaf\n@reboot setsid {deaf} & exec {deaf}\n", "--grace", "1h")
    daemon.wait_for(r"\| deaf", 2)
    daemon.send(signal.SIGTERM)
    daemon.wait_for("SIGTERM: stopping")
    time.sleep(1.1)  # sooner, it would be an echo
    with takes(at_most=5):
        assert daemon.stop() == 3
    assert "SIGTERM: killing deaf" in daemon.log
    assert marked_processes(unique) == []


def test_another_signal_kills_at_once(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    daemon = gcron_run(f"# gcron: kill-after=1h name=deaf\n@reboot exec {DEAF % unique}\n", "--grace", "1h")
    daemon.wait_for(r"\| deaf")
    daemon.send(signal.SIGTERM)
    daemon.wait_for("SIGTERM: stopping")
    assert daemon.stop(signal.SIGINT) == 3
    assert "SIGINT: killing deaf" in daemon.log
    assert marked_processes(unique) == []


@pytest.mark.realtime
def test_jobs_that_ignore_signals_or_are_stopped_or_detached_end_in_time(
    gcron_run: Run, marked_processes: Find, unique: str
) -> None:
    deaf = DEAF % unique
    daemon = gcron_run(
        f"# gcron: kill-after=1s\n@reboot exec {deaf}\n"
        + f"# gcron: kill-after=1s\n@reboot setsid {deaf} & wait\n"
        + f"# gcron: kill-after=1s\n@reboot echo deaf; kill -STOP $$; sleep {unique}\n"
        + f"@reboot setsid sleep {unique} & echo deaf\n",
        "--grace",
        "0.3",
    )
    daemon.wait_for(r"\| deaf", 4)
    with takes(at_most=0.3 + 1 + 3):  # kill-after is 10 s by default
        assert daemon.stop() == 3
    # The last job had ended. Like any cron, gcron leaves its remaining process alone.
    left = marked_processes(unique)
    assert len(left) == 1
    os.kill(left[0], signal.SIGKILL)


def test_hup_reloads_the_files(gcron_run: Run, tmp_path: Any) -> None:
    daemon = gcron_run("# gcron: name=old\n@daily true\n")
    daemon.wait_for("1 job from")
    crontab = tmp_path / "crontab0"
    crontab.write_text("# gcron: name=old\n@daily true\n# gcron: name=new\n@every 1s echo fresh\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("SIGHUP: read again: 1 added, 0 changed, 0 removed")
    daemon.wait_for(r"\| fresh")
    crontab.write_text("61 * * * * true\n")
    daemon.send(signal.SIGUSR2)
    daemon.wait_for("SIGUSR2: nothing is changed")
    crontab.unlink()
    daemon.send(signal.SIGHUP)
    daemon.wait_for("SIGHUP: nothing is changed")
    daemon.send(signal.SIGUSR1)
    daemon.wait_for("status: 2 jobs, . running")
    assert daemon.stop() == 0


# -- what is handed down ----------------------------------------------------------------------------------------

SHOW = "@reboot cat /proc/self/status; exit 5\n"
DEFAULTS = {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}
# glibc uses 32 and 33 itself. Its posix_spawn, with which Python 3.13 starts gcron here, leaves them ignored.
OF_GLIBC = 1 << 31 | 1 << 32


def ignoring(*signals: str) -> tuple[str, ...]:
    return ("sh", "-c", f"trap '' {' '.join(signals)}; exec \"$@\"", "sh")


def blocking_everything() -> tuple[str, ...]:
    code = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals());"
        " os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(
    "before",
    [(), ignoring("INT", "QUIT", "HUP", "CHLD", "TERM", "USR1", "PIPE"), blocking_everything()],
    ids=["plainly", "with signals ignored", "with signals blocked"],
)
def test_jobs_start_with_default_signal_handling(gcron_run: Run, before: tuple[str, ...]) -> None:
    daemon = gcron_run(SHOW, "--log-format", "json", before=before)
    daemon.wait_for("exit status 5")  # so its exit status was not lost
    records = [json.loads(line) for line in daemon.log.splitlines()]
    status = [record["line"] for record in records if record["event"] == "output"]
    masks = dict(line.split(":\t", 1) for line in status if line.startswith(tuple(DEFAULTS)))
    assert {name: int(mask, 16) & ~OF_GLIBC for name, mask in masks.items()} == DEFAULTS
    assert daemon.stop() == 0


def test_under_nohup_a_hangup_does_not_end_gcron(gcron_run: Run) -> None:
    daemon = gcron_run("@every 1s true\n", before=("nohup",))
    daemon.wait_for("Ctrl-C stops")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("succeeded")
    assert daemon.stop() == 0


def test_without_standard_streams_jobs_still_run(gcron_run: Run, tmp_path: Any) -> None:
    mark = tmp_path / "mark"
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "found = [str(fd) for fd in range(100) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        f"open('{mark}.new', 'w').write(' '.join(found))\n"
        f"os.rename('{mark}.new', '{mark}')\n"
    )
    daemon = gcron_run(
        f"@reboot echo out; exec {sys.executable} {script}\n", before=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    )
    until(mark.exists)
    assert mark.read_text().split() == ["0", "1", "2"]
    assert daemon.stop() == 0


@pytest.mark.realtime
def test_an_idle_gcron_uses_almost_no_cpu(gcron_run: Run) -> None:
    daemon = gcron_run("@daily true\n")
    daemon.wait_for("Ctrl-C stops")
    process = psutil.Process(daemon.process.pid)

    def used_in_a_second() -> float:
        before = sum(process.cpu_times()[:2])
        time.sleep(1)
        return sum(process.cpu_times()[:2]) - before

    # Not in its first second: it then looks for what an earlier gcron has left.
    until(lambda: used_in_a_second() <= 0.02, "a second in which it uses almost none")
    assert daemon.stop() == 0


@pytest.mark.realtime
def test_200_jobs_are_killed_as_fast_as_one(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    count = 200
    text = "".join(f"# gcron: name=j{number}\n@reboot sleep {unique}\n" for number in range(count))
    daemon = gcron_run(text, "--grace", "0")
    daemon.wait_for("started", count)
    with takes(at_most=5):
        assert daemon.stop() == 3
    assert marked_processes(unique) == []


def test_a_job_gets_variables_of_its_run_and_no_settings_of_gcron(gcron_run: Run) -> None:
    daemon = gcron_run(
        "# gcron: name=who\n@every 1s env | grep '^GCRON_' | sort | tr '\\n' ' '; echo; date +\\%s\n",
        env={**os.environ, "GCRON_GRACE": "7", "GCRON_TOKEN": "secret"},
    )
    daemon.wait_for(r"who +\| \d+$")
    (variables, second) = re.findall(r"who +\| (.*)$", daemon.log, re.MULTILINE)[:2]
    found = dict(pair.split("=", 1) for pair in variables.split())
    assert sorted(found) == ["GCRON_ATTEMPT", "GCRON_FIRE_AT", "GCRON_JOB", "GCRON_MARK", "GCRON_RUN_ID"]
    assert (found["GCRON_JOB"], found["GCRON_ATTEMPT"], found["GCRON_FIRE_AT"]) == ("who", "1", second)
    assert daemon.stop() == 0


def test_a_job_that_cannot_be_ended_is_named_and_the_exit_status_is_4(tmp_path: Any, clock: Any) -> None:
    log = tmp_path / "log"
    give_up: list[bool] = []

    def stubborn() -> None:
        while not give_up:
            with suppress(GreenletExit):
                sleep(1)

    job = Job("stubborn", parse("@reboot", "UTC"), PythonCall(stubborn, greenlet=True), Policy())
    with log.open("wb") as out:
        settings = Settings(LogSettings(TextFormat(UTC), stdout_fd=out.fileno()), grace=5)
        service = Daemon([job], settings, "a test", list)
        spawn_later(1, os.kill, os.getpid(), signal.SIGTERM)
        assert service.run() == 4
        service.close()
    give_up.append(True)
    sleep(2)
    assert clock.monotonic() < 5 + 10 + 15 + 5
    assert "stopped; could not be killed: job stubborn, which does not end" in log.read_text()


# -- how long stopping takes ------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_job_gets_the_stop_signal_first_and_kill_after_its_kill_after(gcron_run: Run, unique: str) -> None:
    job = f"trap 'echo asked' TERM; echo up; while :; do sleep {unique}; done"
    daemon = gcron_run(f"# gcron: kill-after=1s name=deaf\n@reboot {job}\n", "--grace", "0.5")
    daemon.wait_for(r"\| up")
    with takes(at_least=0.5 + 1, at_most=0.5 + 1 + 3):  # kill-after is 10 s by default
        daemon.send(signal.SIGTERM)
        with takes(at_least=0.5):
            daemon.wait_for(r"\| asked")
        assert daemon.wait() == 3


@pytest.mark.realtime
def test_a_service_that_ignores_the_stop_signal_is_killed_after_its_own_kill_after(gcron_run: Run, unique: str) -> None:
    deaf = DEAF % unique
    daemon = gcron_run(
        f"# gcron: kill-after=1s name=job\n@reboot exec {deaf}\n"
        f"# gcron: kill-after=1s name=svc\n@service exec {deaf}\n",
        "--grace",
        "0.5",
    )
    daemon.wait_for(r"\| deaf", 2)
    with takes(at_least=0.5 + 1 + 1, at_most=0.5 + 1 + 1 + 3):  # kill-after is 10 s by default
        assert daemon.stop() == 3
    assert "SIGTERM: stopping, waiting up to 0.5 s for job (" in daemon.log


@pytest.mark.realtime
def test_a_log_that_nobody_reads_does_not_delay_the_stop(gcron_run: Run, unique: str) -> None:
    read, write = os.pipe()
    try:
        job = f"trap '' TERM; yes {unique}"
        crontab = f"# gcron: kill-after=1s\n@reboot {job}\n"
        daemon = gcron_run(crontab, "--grace", "0.5", timing=Timing(last_log=0.5), stdout=write)
        process = psutil.Process(daemon.process.pid)
        until(lambda: process.children() and is_full(write), "a full pipe")
        with takes(at_least=0.5 + 1 + 0.5, at_most=0.5 + 1 + 5):
            assert daemon.stop() == 3
    finally:
        os.close(read)
        os.close(write)


def is_full(pipe: int) -> bool:
    return not select.select([], [pipe], [], 0)[1]


TRACER = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print(libc.ptrace(0x4206, int(sys.argv[1]), 0, 0), flush=True)
sys.stdin.read()
"""


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform != "linux", reason="ptrace as used here is Linux's")
def test_a_process_that_survives_kill_is_named_and_the_exit_status_is_4(gcron_run: Run, unique: str) -> None:
    """A traced process stays in the process table until its debugger has seen that it died."""
    crontab = f"# gcron: kill-after=1s name=held\n@reboot exec sleep {unique}\n"
    daemon = gcron_run(crontab, "--grace", "0.2", timing=Timing(unkillable_after=1))
    ((pid),) = daemon.wait_for(r"started \(pid (\d+)\)")
    with subprocess.Popen([sys.executable, "-c", TRACER, pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        assert tracer.stdin is not None
        assert tracer.stdout is not None
        if tracer.stdout.readline() != b"0\n":
            pytest.skip("this machine forbids ptrace")
        with takes(at_least=0.2 + 1, at_most=0.2 + 1 + 1 + 5):
            assert daemon.stop() == 4
    assert re.search(rf"stopped; could not be killed: .*pid {pid} \(sleep, ", daemon.log)


# -- the first moments ------------------------------------------------------------------------------------------


def wait_until_signals_are_held(pid: int) -> None:
    """Wait until gcron keeps HUP and obeys TERM. It has imported almost nothing by then."""

    def are_held() -> bool:
        found = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return found is not None and bool(int(found[1], 16) >> (signal.SIGHUP - 1) & 1)

    deadline = time.monotonic() + PATIENCE
    while not are_held():  # no pause: the state is short
        assert time.monotonic() < deadline


linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells whether it is that far")


@linux
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_signal_before_the_start_is_a_clean_end(gcron_run: Run, signum: signal.Signals) -> None:
    daemon = gcron_run("@reboot echo begun\n")
    wait_until_signals_are_held(daemon.process.pid)
    assert daemon.stop(signum) == 0
    assert daemon.errors == ""


@linux
def test_a_reload_signal_before_the_start_is_answered_after_it(gcron_run: Run) -> None:
    daemon = gcron_run("@daily true\n")
    wait_until_signals_are_held(daemon.process.pid)
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        daemon.send(signum)
    daemon.wait_for("SIGHUP: read again")
    daemon.wait_for("status: 1 job, 0 running")
    assert daemon.stop() == 0


@linux
@pytest.mark.realtime
def test_a_signal_during_the_exit_does_not_change_the_exit_status(gcron_run: Run, unique: str) -> None:
    """A TERM during the exit of Python, without handlers, changed the exit status from 3 to 143."""
    daemon = gcron_run(f"@reboot sleep {unique}\n", "--grace", "0")
    daemon.wait_for("started")
    while daemon.process.poll() is None:
        daemon.send(signal.SIGTERM)
        time.sleep(0.0005)
    assert daemon.wait() == 3


BLOCKED = """
import os, time
from datetime import UTC
from gcron.daemon.daemon import Daemon, Settings
from gcron.daemon.formats.text import TextFormat
from gcron.daemon.log import LogSettings
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job
from gcron.supervise.python_call import PythonCall

def block():
    while not os.path.exists({gate!r}):
        time.sleep(0.01)

settings = Settings(LogSettings(TextFormat(UTC)), grace=0, watchdog={watchdog})
Daemon([Job("busy", parse("@reboot"), PythonCall(block, greenlet=True), Policy())], settings, "test", list).run()
"""


@pytest.mark.realtime
def test_the_log_names_what_blocks_the_loop_while_it_does(tmp_path: Path, gate: Gate) -> None:
    """The log of `gcron run` named it only afterwards, and never when it did not end."""
    script = BLOCKED.format(gate=str(gate.path), watchdog=0.2)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        while b"job busy has blocked all jobs for 0." not in (line := process.stdout.readline()):
            assert line, "gcron ended"
        gate.open()
        while b"job busy blocked all jobs for" not in (line := process.stdout.readline()):
            assert line, "gcron ended"
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("value", ["0s", "-1s", "soon"])
def test_a_wrong_watchdog_is_refused(value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gcron", "run", f"--watchdog={value}", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "argument --watchdog" in done.stderr
