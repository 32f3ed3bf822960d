"""Promises 3 and 4: a file system that does not answer delays only the jobs that use it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import spawn
from gcron.policy import Policy
from gcron.schedule.clock import SystemClock
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity
from gcron.supervise.events import JobEvent, JobOutput
from gcron.supervise.outcome import Outcome, Reason, ReasonCode
from gcron.supervise.timing import Timing
from tests.faults.conftest import BEAT, CAN_MOUNT, STUCK_IN_EXEC, Mount
from tests.waiting import PATIENCE, takes, until

Run = Callable[..., Any]
pytestmark = CAN_MOUNT


def wait_for_more_beats(daemon: Any, more: int) -> None:
    beats = len(daemon.wait_for("beat +succeeded"))
    daemon.wait_for("beat +succeeded", beats + more)


class Listening:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def __call__(self, event: JobEvent) -> None:
        if isinstance(event, JobOutput):
            self.lines += event.lines


@pytest.mark.realtime
def test_a_directory_that_hangs_delays_only_its_own_job(mount: Mount, gcron_run: Run) -> None:
    hung = mount("")
    hung.hang()
    daemon = gcron_run(
        f"# gcron: name=stuck cwd={hung.where} kill-after=0.3s\n@every 1s true\n" + BEAT, "--grace", "0s"
    )
    daemon.wait_for("stuck +started")
    daemon.wait_for("beat +succeeded", 2)
    assert "stuck    succeeded" not in daemon.log
    with takes(at_most=0.3 + 4):  # kill-after is 10 s by default
        assert daemon.stop() == 3  # the server has not read its request, so KILL ends it


@pytest.mark.realtime
def test_a_job_that_hangs_in_execve_is_named_and_delays_nothing_else(mount: Mount, gcron_run: Run) -> None:
    """A read of /proc/PID/stat or /proc/PID/environ of such a process hangs as well.

    The snapshot of the process table never ended, and later ones waited for it. No tree could be ended any more, and no
    run that had timed out ended.
    """
    hung = mount("hang")
    command = STUCK_IN_EXEC.format(hung.where)
    daemon = gcron_run(
        f'# gcron: name=stuck timeout=1s kill-after=0.3s\n@reboot exec {sys.executable} -c "{command}"\n'
        "# gcron: name=other timeout=2s\n@reboot sleep 60\n" + BEAT,
        "--grace",
        "0s",
        timing=Timing(unkillable_after=3),
    )
    (pid,) = daemon.wait_for(r"stuck +started \(pid (\d+)\)")
    daemon.wait_for("stuck +\\| up")
    daemon.wait_for("other +timed-out")  # the stuck job got its stop signal before
    beats = len(daemon.wait_for("beat +succeeded"))
    daemon.wait_for("beat +succeeded", beats + 1)
    assert "stuck    timed-out" not in daemon.log.partition("other    timed-out")[0]
    with takes(at_most=0.3 + 3 + 5):
        assert daemon.stop() == 4
    assert re.search(rf"could not be killed: .*pid {pid} \(python[\d.]*, disk-sleep\)", daemon.log)


def hangs(pid: int) -> bool:
    """Return True when the process waits in the kernel. Reading other files in its /proc would hang."""
    return "\nState:\tR" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.realtime
def test_a_process_that_cannot_be_read_is_found_by_its_session_and_killed(
    mount: Mount,
) -> None:
    """KILL takes effect when the file system answers. Until then the process executes nothing."""
    hung = mount("hang")
    command = "import os; os.setpgid(0, 0); " + STUCK_IN_EXEC.format(hung.where)
    listening = Listening()
    attempt = Attempt(
        Command(f'{sys.executable} -c "{command}" & echo $!; exec sleep 60'),
        Policy(),
        Identity("test", "hung"),
        listening,
        SystemClock(),
        Timing(unkillable_after=1.0),
    )
    running = spawn(attempt.perform)
    until(lambda: len(listening.lines) == 2)
    pid = int(next(line for line in listening.lines if line != b"up"))
    until(lambda: hangs(pid))
    attempt.stop(Outcome.KILLED, Reason(ReasonCode.STOP_REQUESTED, "now"), now=True)
    result = running.get(timeout=PATIENCE)
    assert result.left_behind.startswith(f"pid {pid} (python")
    assert result.left_behind.endswith(", disk-sleep)")
    hung.unmount()
    until(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.realtime
def test_jobs_continue_and_can_be_stopped_while_their_crontab_hangs(mount: Mount, gcron_run: Run) -> None:
    table = mount(BEAT)
    daemon = gcron_run("# gcron: name=other\n@every 1s true\n", str(table.where / "crontab"))
    daemon.wait_for("beat +succeeded")
    table.hang()
    daemon.send(signal.SIGHUP)
    beats = len(daemon.wait_for("beat +succeeded"))
    daemon.wait_for("beat +succeeded", beats + 2)
    daemon.send(signal.SIGUSR1)
    daemon.wait_for(r"files    as they were at the start; being read since \S+Z$")
    with takes(at_most=5):
        assert daemon.stop() == 0


@pytest.mark.realtime
def test_a_history_that_hangs_delays_no_job_and_no_stop(freezable: Path, gcron_run: Run) -> None:
    """The kernel keeps the process until the disk answers. All that gcron has to do is done before."""
    daemon = gcron_run(BEAT, "--state", str(freezable / "state"))
    daemon.wait_for("beat +succeeded", 2)
    assert (freezable / "state" / "history.db").exists()
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    wait_for_more_beats(daemon, 3)
    with takes(at_most=5):
        daemon.send(signal.SIGTERM)
        until(lambda: daemon.log.splitlines()[-1].endswith("gcron    stopped"), "the last line of the log")
    subprocess.run(["fsfreeze", "-u", freezable], check=True)
    assert daemon.wait() == 0


@pytest.mark.realtime
def test_jobs_continue_while_the_file_that_is_the_standard_input_hangs(mount: Mount, gcron_run: Run) -> None:
    """`gcron run - < FILE`. The child of each start closes its copy of it, which such a file system does not answer.

    Until the child executes its program, gcron waits for it: no job ran any more, and TERM was ignored.
    """
    table = mount(BEAT)
    with (table.where / "crontab").open("rb") as stdin:
        daemon = gcron_run("# gcron: name=other\n@every 1s true\n", "-", stdin=stdin)
    wait_for_more_beats(daemon, 1)
    table.hang()
    wait_for_more_beats(daemon, 3)
    with takes(at_most=5):
        assert daemon.stop() == 0
