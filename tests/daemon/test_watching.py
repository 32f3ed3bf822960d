"""Which changes of files are reported: with real inotify, real links, and by polling without inotify."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gcron.daemon import watching
from gcron.daemon.watching import FileWatch
from gcron.greenlet import Greenlet, sleep, spawn
from gcron.schedule.clock import SystemClock
from tests.waiting import PATIENCE

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")
Waiting = Callable[..., Greenlet]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report changes sooner, and do not poll."""
    monkeypatch.setattr(watching, "_QUIET", 0.02)
    monkeypatch.setattr(watching, "_LONGEST_STORM", 0.2)
    monkeypatch.setattr(watching, "LOOK_EVERY", 60.0)


def waiting(watch: FileWatch) -> Greenlet:
    """Start to wait for a change."""
    watch.open()
    greenlet = spawn(watch.wait)
    sleep(0)
    return greenlet


def is_told(greenlet: Greenlet) -> bool:
    greenlet.join(PATIENCE)
    return greenlet.ready()


def is_silent(greenlet: Greenlet) -> bool:
    sleep(0.1)
    silent = not greenlet.ready()
    greenlet.kill()
    return silent


def rename_over(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.rename(path)


@linux
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("new"),
        lambda path: rename_over(path, "new"),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("elsewhere")),
        lambda path: path.chmod(0o600),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/null")),
    ],
    ids=["written", "renamed over", "removed", "moved away", "mode", "FIFO in its place", "link in its place"],
)
def test_a_change_of_a_file_is_reported(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "crontab"
    path.write_text("old")
    watch = FileWatch([str(path)])
    before = watch.look()
    greenlet = waiting(watch)
    change(path)
    assert is_told(greenlet)
    assert watch.look() != before


@linux
def test_a_file_that_reappears_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    watch = FileWatch([str(path)])
    greenlet = waiting(watch)
    path.write_text("new")
    assert is_told(greenlet)


@linux
def test_changes_of_other_files_are_not_reported(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text("old")
    greenlet = waiting(FileWatch([str(path)]))
    for number in range(1000):
        rename_over(tmp_path / "log", str(number))
    assert is_silent(greenlet)


@linux
@pytest.mark.parametrize("remove_old", [True, False])
@pytest.mark.parametrize("as_directory", [True, False])
def test_an_update_of_a_configmap_is_reported(tmp_path: Path, remove_old: bool, as_directory: bool) -> None:
    """In Kubernetes `crontab` is a link to `..data/crontab`, and `..data` a link that is replaced by a rename."""

    def publish(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "crontab").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("..1", "old")
    (tmp_path / "crontab").symlink_to("..data/crontab")
    watch = FileWatch([str(tmp_path if as_directory else tmp_path / "crontab")])
    for name in ("..2", "..3"):
        before = watch.look()
        greenlet = waiting(watch)
        old = tmp_path / os.readlink(tmp_path / "..data")
        publish(name, f"new {name}")
        if remove_old:
            (old / "crontab").unlink()
            old.rmdir()
        assert is_told(greenlet)
        assert watch.look() != before


@linux
def test_a_change_of_a_link_target_is_reported(tmp_path: Path) -> None:
    for name in ("etc", "links", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "real" / "crontab").write_text("old")
    (tmp_path / "links" / "here").symlink_to("../real")
    (tmp_path / "etc" / "crontab").symlink_to(tmp_path / "links" / "here" / "crontab")
    watch = FileWatch([str(tmp_path / "etc" / "crontab")])
    greenlet = waiting(watch)
    rename_over(tmp_path / "real" / "crontab", "new")
    assert is_told(greenlet)
    greenlet = waiting(watch)
    (tmp_path / "other").mkdir()
    (tmp_path / "links" / "new").symlink_to("../other")
    (tmp_path / "links" / "new").rename(tmp_path / "links" / "here")
    assert is_told(greenlet)
    greenlet = waiting(watch)
    (tmp_path / "other" / "crontab").write_text("newest")
    assert is_told(greenlet)
    # The old target is no longer watched.
    greenlet = waiting(watch)
    (tmp_path / "real" / "crontab").write_text("forgotten")
    assert is_silent(greenlet)


@linux
@pytest.mark.parametrize(
    "change",
    [
        lambda directory: (directory / "new").write_text("new"),
        lambda directory: (directory / "old").write_text("new"),
        lambda directory: (directory / "old").unlink(),
        lambda directory: (directory / "old").rename(directory / "new"),
    ],
    ids=["added", "edited", "removed", "renamed"],
)
def test_a_change_in_a_directory_is_reported(tmp_path: Path, change: Callable[[Path], object]) -> None:
    directory = tmp_path / "cron.d"
    directory.mkdir()
    (directory / "old").write_text("old")
    watch = FileWatch([str(directory)])
    before = watch.look()
    greenlet = waiting(watch)
    change(directory)
    assert is_told(greenlet)
    assert watch.look() != before


@linux
def test_lost_inotify_events_count_as_a_change(tmp_path: Path) -> None:
    """The kernel's queue is bounded. An overflow is an event without a watch."""
    path = tmp_path / "crontab"
    path.write_text("old")
    greenlet = waiting(FileWatch([str(path)]))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    names = [str(tmp_path / f"neighbour{number}") for number in range(100)]
    for name in names:
        Path(name).touch()
    # The loop gets no turn, so nobody empties the queue. The kernel would merge equal events in a row.
    for number in range(limit + 100):
        os.chmod(names[number % 100], stat.S_IRUSR)
    assert is_told(greenlet)


@linux
def test_endless_changes_are_reported_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text("old")
    greenlet = waiting(FileWatch([str(path)]))
    for _ in range(10_000):
        if greenlet.ready():
            break
        path.write_text("new")
        sleep(0.001)
    assert greenlet.ready()


@linux
def test_broken_and_circular_links_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "nowhere").symlink_to("/no/such/file")
    watch = FileWatch([str(tmp_path / "round"), str(tmp_path / "nowhere"), "/no/such/directory/file", "nul\0byte"])
    greenlet = waiting(watch)
    (tmp_path / "nowhere").unlink()
    assert is_told(greenlet)


def test_without_inotify_the_files_are_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_open_inotify", lambda: None)
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.05)
    path = tmp_path / "crontab"
    path.write_text("old")
    watch = FileWatch([str(path)])
    before = watch.look()
    greenlet = waiting(watch)
    rename_over(path, "new")
    assert is_told(greenlet)
    assert watch.look() != before


@linux
def test_without_a_free_inotify_instance_the_files_are_polled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a user may have 128 instances, which other programs may use up."""

    def full(**options: bool) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("inotify_simple.INotify", full)
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.05)
    assert is_told(waiting(FileWatch([str(tmp_path / "crontab")])))


def test_a_file_that_changed_a_moment_ago_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text("old")
    watch = FileWatch([str(path)])
    assert not watch.look().settled
    os.utime(path, (0, 0))
    assert not watch.look().settled  # setting the times was a change, too (ctime)
    assert FileWatch([__file__, str(tmp_path / "missing")]).look().settled


@pytest.mark.parametrize(("seconds", "text", "fresh"), [(0.3, "", True), (0.3, "#", False), (0.9, "", False)])
def test_a_file_that_was_emptied_just_now_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, text: str, fresh: bool
) -> None:
    """An editor was stopped between emptying a file and writing it. gcron took the empty file, and removed all jobs."""
    path = tmp_path / "crontab"
    path.write_text(text)
    changed = os.stat(path).st_mtime
    monkeypatch.setattr(SystemClock, "now", lambda self: changed + seconds)
    assert FileWatch([str(path)]).look().fresh is fresh


@pytest.mark.parametrize(("seconds", "fresh"), [(0.01, True), (1.0, False), (-3600.0, False)])
def test_a_file_that_changed_in_this_tick_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, fresh: bool
) -> None:
    """A file from a server whose clock is ahead does not stay fresh."""
    path = tmp_path / "crontab"
    path.write_text("old")
    changed = os.stat(path).st_ctime
    monkeypatch.setattr(SystemClock, "now", lambda self: changed + seconds)
    assert FileWatch([str(path)]).look().fresh is fresh


def test_a_relative_path_outlives_its_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch raised FileNotFoundError, and with it gcron ended."""
    directory = tmp_path / "here"
    directory.mkdir()
    (directory / "crontab").write_text("@daily true\n")
    monkeypatch.chdir(directory)
    watch = FileWatch(["crontab"])
    before = watch.look()
    watch.open(before)
    shutil.rmtree(directory)
    assert watch.look() != before
