"""Promise 4: when the process that writes the log is killed, another one goes on, and no line is lost."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from gcron.supervise.timing import Timing
from tests.conftest import Gate
from tests.faults.conftest import CAN_MOUNT, Beats, Mount, Run, log_of, run_on, writer_of
from tests.waiting import takes, until

pytestmark = [CAN_MOUNT, pytest.mark.realtime]

T = TypeVar("T")
QUICK, NEVER = Timing(next_log_writer=0.001), Timing(next_log_writer=1000.0)
KILLED = r"the process that writes [a-z ]+ \(pid (\d+)\) was killed by signal 9; the next one starts in (\S+) s"
COUNT = "# gcron: name=count\n@reboot i=0; while ! test -e {gate}; do i=$((i+1)); echo $i; done; echo $i >{last}\n"
"""Prints numbers until the gate is open, and writes the last one to a file."""


def in_order(items: list[T]) -> list[T]:
    """The items without those that were there before."""
    return list(dict.fromkeys(items))


def kills_in(log: str) -> list[tuple[str, str]]:
    """The pids of the writers that were killed, and the pauses before the next ones."""
    return in_order(re.findall(KILLED, log))


class Marked(Beats):
    """Beats that are told from one another: by the ids of their runs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.crontab = f"# gcron: name=beat\n@every 1s echo $GCRON_RUN_ID | tee -a {path}\n"

    @property
    def ids(self) -> list[str]:
        """Of all that there were."""
        return self._path.read_text().split()


@pytest.fixture
def beats(tmp_path: Path) -> Marked:
    return Marked(tmp_path / "beats")


def beats_in(log: str) -> list[str]:
    """The ids of the beats in a log, in their order. One that is there twice counts once."""
    return in_order(re.findall(r" beat +\| (\S+)$", log, re.MULTILINE))


def test_lines_that_flow_while_the_writer_is_killed_are_all_there(
    mount: Mount, gcron_run: Run, gate: Gate, tmp_path: Path
) -> None:
    """gcron went on without a log, and said so nowhere. A zombie was left."""
    disk, last = mount("\n"), tmp_path / "last"
    daemon = run_on(disk, gcron_run, COUNT.format(gate=gate.path, last=last), timing=QUICK)
    writer, kills = writer_of(daemon), 10
    for _ in range(kills):
        before = len(log_of(disk))
        until(lambda before=before: len(log_of(disk)) > before + 20_000, "more lines")  # type: ignore[misc]
        writer.kill()
        writer = writer_of(daemon, after=writer)
    gate.open()
    until(lambda: "succeeded" in log_of(disk), "the end of the job")
    assert daemon.stop() == 0
    log = log_of(disk)
    numbers = [int(number) for number in re.findall(r"count +\| (\d+)$", log, re.MULTILINE)]
    assert in_order(numbers) == list(range(1, int(last.read_text()) + 1))
    twice = sum(len(line) for line in log.splitlines()) - sum(len(line) for line in set(log.splitlines()))
    assert twice <= kills * 64 * 1024
    assert len(kills_in(log)) == kills
    assert "lost" not in log
    assert log.endswith(" gcron    stopped\n")


def test_fifty_kills_leave_no_descriptor_no_thread_and_no_zombie(mount: Mount, beats: Marked, gcron_run: Run) -> None:
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, timing=QUICK)
    beats.wait_for_more(1)
    writer = writer_of(daemon)
    gcron = psutil.Process(daemon.process.pid)

    def kill(writer: psutil.Process) -> psutil.Process:
        writer.kill()
        return writer_of(daemon, after=writer)

    def held() -> tuple[int, int]:
        beats.wait_for_more(1)
        until(lambda: gcron.children() == [writer], "the end of the job, and no zombie")
        return gcron.num_fds(), gcron.num_threads()

    writer = kill(writer)
    before = held()
    for _ in range(50):
        writer = kill(writer)
    # Some come and go with other work. A kill that leaves one would leave fifty.
    until(lambda: all(now < then + 10 for now, then in zip(held(), before, strict=True)), "the descriptors and threads")
    assert daemon.stop() == 0
    assert beats_in(log_of(disk)) == beats.ids


def test_the_pause_before_the_next_writer_doubles(mount: Mount, beats: Marked, gcron_run: Run) -> None:
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, timing=Timing(next_log_writer=0.05))
    writer = writer_of(daemon)
    for _ in range(4):
        writer.kill()
        writer = writer_of(daemon, after=writer)
    until(lambda: len(kills_in(log_of(disk))) == 4)
    assert [pause for _, pause in kills_in(log_of(disk))] == ["0.05", "0.1", "0.2", "0.4"]
    assert daemon.stop() == 0


def test_the_pause_is_short_again_after_a_writer_has_lived(mount: Mount, beats: Marked, gcron_run: Run) -> None:
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, timing=Timing(next_log_writer=0.01))
    writer = writer_of(daemon)
    writer.kill()
    writer = writer_of(daemon, after=writer)
    beats.wait_for_more(2)  # it has lived for more than 60 times 0.01 s
    writer.kill()
    writer_of(daemon, after=writer)
    until(lambda: len(kills_in(log_of(disk))) == 2)
    assert [pause for _, pause in kills_in(log_of(disk))] == ["0.01", "0.01"]
    assert daemon.stop() == 0


def test_output_that_there_is_no_room_for_until_the_next_writer_is_counted(
    mount: Mount, beats: Marked, gcron_run: Run, gate: Gate, tmp_path: Path
) -> None:
    disk, done = mount("\n"), tmp_path / "done"
    flood = f"{gate.wait}; yes | head -n 2000000; touch {done}"
    text = f"# gcron: name=flood\n@reboot {flood}\n{beats.crontab}"
    daemon = run_on(disk, gcron_run, text, timing=Timing(next_log_writer=8.0))
    beats.wait_for_more(1)
    writer_of(daemon).kill()
    gate.open()
    until(done.exists)
    found = until(
        lambda: re.search(r"lost (\d+) lines of this log .*: the process that writes it was kil", log_of(disk))
    )
    assert found is not None
    until(lambda: "succeeded" in log_of(disk))
    beats.wait_for_more(1)
    assert daemon.stop() == 0
    log = log_of(disk)
    lost = sum(int(lines) for lines in re.findall(r"lost (\d+) lines of this log", log))
    missing = len(beats.ids) - len(beats_in(log))
    assert log.count("| y\n") + lost - missing == 2_000_000


def test_stderr_says_once_that_the_writer_was_killed(
    mount: Mount, beats: Marked, gcron_run: Run, tmp_path: Path
) -> None:
    disk, errors = mount("\n"), tmp_path / "stderr"
    with (disk.where / "crontab").open("ab") as out, errors.open("ab") as err:
        daemon = gcron_run(beats.crontab, stdout=out, stderr=err, timing=QUICK)
    writer = writer_of(daemon)
    for _ in range(3):
        writer.kill()
        writer = writer_of(daemon, after=writer)
    beats.wait_for_more(1)
    assert daemon.stop() == 0
    assert len(errors.read_text().splitlines()) == 1
    assert kills_in(errors.read_text()) == kills_in(log_of(disk))[:1]
    assert len(kills_in(log_of(disk))) == 3


def test_a_stop_needs_no_pause_before_the_next_writer(mount: Mount, beats: Marked, gcron_run: Run) -> None:
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, timing=NEVER)
    beats.wait_for_more(1)
    writer_of(daemon).kill()
    beats.wait_for_more(2)
    assert "killed" not in log_of(disk)
    with takes(at_most=3):
        assert daemon.stop() == 0
    assert log_of(disk).endswith(" gcron    stopped\n")
    assert beats_in(log_of(disk)) == beats.ids


def test_a_writer_that_is_killed_while_the_file_hangs_loses_no_line(
    mount: Mount, beats: Marked, gcron_run: Run
) -> None:
    """The kernel keeps it until the file system answers. What it was writing then may be there twice."""
    hung = mount("\n")
    daemon = run_on(hung, gcron_run, beats.crontab, timing=QUICK)
    beats.wait_for_more(1)
    writer = writer_of(daemon)
    hung.hang()
    beats.wait_for_more(2)
    writer.kill()
    beats.wait_for_more(2)
    hung.server.send_signal(signal.SIGCONT)
    writer_of(daemon, after=writer)
    assert daemon.stop() == 0
    assert beats_in(log_of(hung)) == beats.ids
    assert log_of(hung).endswith(" gcron    stopped\n")


def test_a_writer_that_is_killed_while_the_disk_is_full_loses_no_line(
    mount: Mount, beats: Marked, gcron_run: Run
) -> None:
    """Lines that a writer has read and not written yet are written by the next one."""
    disk = mount("full\n")
    daemon = run_on(disk, gcron_run, beats.crontab, timing=QUICK)
    beats.wait_for_more(2)
    writer = writer_of(daemon)
    writer.kill()
    beats.wait_for_more(1)
    disk.server.send_signal(signal.SIGUSR1)
    writer_of(daemon, after=writer)
    assert daemon.stop() == 0
    assert beats_in(log_of(disk)) == beats.ids
    assert len(kills_in(log_of(disk))) == 1


def test_a_file_that_can_never_be_written_again_ends_the_log_and_not_gcron(
    mount: Mount, beats: Marked, gcron_run: Run
) -> None:
    """As a reader that has gone: with `--on-stall block`, jobs would wait for ever for another writer."""
    disk = mount("\n")
    daemon = run_on(disk, gcron_run, beats.crontab, "--on-stall", "block")
    beats.wait_for_more(1)
    disk.unmount()
    until(lambda: not psutil.Process(daemon.process.pid).children(), "the end of the writer")
    beats.wait_for_more(2)
    with takes(at_most=3):
        assert daemon.stop() == 0
