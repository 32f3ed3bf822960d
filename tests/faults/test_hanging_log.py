"""Promises 3 and 4: a log on a file system that does not answer delays no job, and no stop."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import CAN_MOUNT, Beats, Mount, Run, log_of, run_on, writer_of
from tests.waiting import takes, until

pytestmark = [CAN_MOUNT, pytest.mark.realtime]


def test_a_log_that_hangs_delays_no_job_and_loses_no_line(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    """The child of each start closed its copy of the log's file, which such a file system does not answer.

    Until the child executes its program, gcron waits for it: no job ran any more, and TERM was ignored.
    """
    hung = mount("\n")
    daemon = run_on(hung, gcron_run, beats.crontab)
    beats.wait_for_more(2)
    hung.hang()
    beats.wait_for_more(4)
    hung.server.send_signal(signal.SIGCONT)
    beats.wait_for_more(1)
    assert daemon.stop() == 0
    log = log_of(hung)
    assert log.count(" beat     | alive\n") == beats.count
    assert log.endswith(" gcron    stopped\n")
    started, ended = (re.findall(rf"beat +{word}.*", log) for word in ("started", "succeeded"))
    assert len(started) == len(ended) == beats.count
    times = re.findall(r"^\S+ ", log, re.MULTILINE)
    assert times == sorted(times)


def test_a_stop_takes_as_long_as_ever_while_the_log_hangs(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    """The kernel keeps a process that waits for such a file system, even when it is killed: here, the writer alone."""
    hung = mount("\n")
    daemon = run_on(hung, gcron_run, beats.crontab)
    beats.wait_for_more(1)
    writer = writer_of(daemon)
    hung.hang()
    beats.wait_for_more(2)
    with takes(at_most=3):
        assert daemon.stop() == 0
    assert writer.is_running()
    hung.server.send_signal(signal.SIGCONT)
    until(lambda: not writer.is_running(), "the end of the writer")
    assert log_of(hung).endswith(" gcron    stopped\n")


def test_output_that_a_hanging_log_has_no_room_for_is_dropped_and_counted(
    mount: Mount, beats: Beats, gcron_run: Run, tmp_path: Path
) -> None:
    """As with any reader that has stopped."""
    hung = mount("\n")
    gate, done = tmp_path / "gate", tmp_path / "done"
    flood = f"until test -e {gate}; do sleep 0.05; done; yes | head -c 20000000; touch {done}"
    daemon = run_on(hung, gcron_run, f"# gcron: name=flood\n@reboot {flood}\n{beats.crontab}")
    beats.wait_for_more(1)
    hung.hang()
    gate.touch()
    until(done.exists)
    beats.wait_for_more(2)
    hung.server.send_signal(signal.SIGCONT)
    until(lambda: re.search(r"lost \d+ lines of this log", log_of(hung)))
    assert daemon.stop() == 0


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_to_the_group_of_gcron_does_not_cut_the_log_off(
    mount: Mount, beats: Beats, gcron_run: Run, sign: signal.Signals
) -> None:
    """A terminal and a service manager signal all processes at once. The writer still gets the last lines."""
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab)
    beats.wait_for_more(1)
    writer_of(daemon).send_signal(sign)
    beats.wait_for_more(1)
    assert daemon.stop() == 0
    assert log_of(disk).endswith(" gcron    stopped\n")


def test_the_writer_holds_the_file_and_its_socket_alone(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    """gcron is often started with a descriptor that is a lock (flock(1)): its end must be the end of the lock."""
    disk = mount("\n")
    lock, end = os.pipe()
    daemon = run_on(disk, gcron_run, beats.crontab, pass_fds=(end,))
    os.close(end)
    beats.wait_for_more(1)
    writer = writer_of(daemon)
    held = {fd: os.readlink(f"/proc/{writer.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{writer.pid}/fd")}
    assert held["0"].startswith("socket:")
    assert held == {"0": held["0"], "1": str(disk.where / "crontab")}
    of_gcron = [os.readlink(path) for path in Path(f"/proc/{daemon.process.pid}/fd").iterdir()]
    assert str(disk.where / "crontab") not in of_gcron
    assert daemon.stop() == 0
    assert os.read(lock, 1) == b""
    os.close(lock)


def test_lines_wait_until_a_full_file_system_has_room(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    disk = mount("full\n")
    daemon = run_on(disk, gcron_run, beats.crontab)
    beats.wait_for_more(2)
    assert log_of(disk) == "full\n"
    disk.server.send_signal(signal.SIGUSR1)
    beats.wait_for_more(1)
    assert daemon.stop() == 0
    assert log_of(disk).count(" beat     | alive\n") == beats.count


def test_a_stop_does_not_wait_for_room_on_a_full_file_system(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    disk = mount("full\n")
    daemon = run_on(disk, gcron_run, beats.crontab)
    beats.wait_for_more(1)
    writer = writer_of(daemon)
    with takes(at_most=3):
        assert daemon.stop() == 0
    until(lambda: not writer.is_running(), "the end of the writer")


def test_stdout_and_stderr_in_two_files_have_two_writers(
    mount: Mount, beats: Beats, gcron_run: Run, tmp_path: Path
) -> None:
    """One that hangs does not stop the other."""
    first, second = mount("\n"), mount("\n")
    with (first.where / "crontab").open("ab") as out, (second.where / "crontab").open("ab") as err:
        daemon = gcron_run(beats.crontab, "--split-logs", stdout=out, stderr=err)
    beats.wait_for_more(1)
    first.hang()
    beats.wait_for_more(2)
    until(lambda: log_of(second).count("succeeded") > 2)
    with takes(at_most=3 + 3):
        assert daemon.stop() == 0
    assert log_of(second).endswith(" gcron    stopped\n")


def test_errors_of_the_start_arrive(mount: Mount, gcron_run: Run) -> None:
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, "61 * * * * true\n")
    assert daemon.wait() == 1
    assert "not started: 1 error" in log_of(disk)


def test_a_file_on_a_local_disk_has_no_writer(gcron_run: Run) -> None:
    daemon = gcron_run("# gcron: name=sleeper\n@reboot sleep 60; true\n", "--grace", "0s")
    daemon.wait_for("sleeper +started")
    assert [child.name() for child in psutil.Process(daemon.process.pid).children()] == ["sh"]
    assert daemon.log_path.samefile(f"/proc/{daemon.process.pid}/fd/1")
    assert daemon.stop() == 3


def test_as_process_1_the_last_lines_are_written(mount: Mount, beats: Beats, gcron_run: Run) -> None:
    """The end of process 1 ends all others in its namespace: gcron has to wait for the writer before."""
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, before=("unshare", "--pid", "--fork", "--mount-proc"))
    beats.wait_for_more(2)
    (init,) = psutil.Process(daemon.process.pid).children()
    init.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert log_of(disk).endswith(" gcron    stopped\n")
    assert log_of(disk).count(" beat     | alive\n") == beats.count
