"""Where history is kept: names, directories, the lock, and what is refused."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gcron.errors import StateError
from gcron.state import places
from gcron.state.memory import MemoryStore
from gcron.state.opening import Sharing, open_store
from gcron.state.places import (
    find_holder,
    find_instances,
    instance_name,
    is_instance_name,
    open_place,
    state_home,
)
from gcron.state.rules import KEEP
from gcron.state.sqlite import SqliteStore
from tests.waiting import PATIENCE

IS_ROOT = os.geteuid() == 0


# -- names ------------------------------------------------------------------------------------------------------


def test_an_instance_has_a_readable_name_that_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    name = instance_name(["/etc/cron.d", "/home/ann/my jobs"])
    assert name.startswith("cron.d-my_jobs-")
    assert is_instance_name(name)
    assert name == instance_name(["/home/ann/my jobs", "/etc/cron.d"])
    monkeypatch.chdir("/etc")
    assert name == instance_name(["cron.d", "../home/ann/my jobs"])


def test_different_crontabs_are_different_instances() -> None:
    paths = ["/a/crontab", "/b/crontab", "/a-b/crontab", "/a/b-crontab", "/ä", "/\udcff", "/" + "x" * 200]
    names = [instance_name([path]) for path in paths]
    assert len(set(names)) == len(paths)
    assert all(is_instance_name(name) for name in names)


@pytest.mark.parametrize("text", ["", ".", "..", "../x", "a/b", "a b", "ä", "x" * 65, "-x", "a\n"])
def test_what_would_be_no_good_name_of_a_directory_is_no_name_of_an_instance(text: str) -> None:
    assert not is_instance_name(text)


# -- the lock ---------------------------------------------------------------------------------------------------


def test_a_directory_has_one_gcron_and_the_second_one_learns_which(tmp_path: Path) -> None:
    directory = str(tmp_path / "gcron" / "jobs")
    place = open_place(directory, "jobs")
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert os.stat(os.path.dirname(directory)).st_mode & 0o777 == 0o700
    holder = find_holder(directory)
    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.instance == "jobs"
    with pytest.raises(StateError, match=f"is in use .process {os.getpid()}, since 20"):
        open_place(directory, "jobs")
    assert list(find_instances(str(tmp_path / "gcron"))) == [directory]
    place.close()
    assert find_holder(directory) is None
    open_place(directory, "jobs").close()


@pytest.mark.parametrize(
    ("state", "other"),
    [
        (None, "--instance NAME starts another one beside it"),
        ("gcron/jobs", "another --state DIR, with --instance NAME, starts another one beside it"),
    ],
)
def test_a_second_gcron_learns_what_shows_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str | None, other: str
) -> None:
    """It named `gcron state`, which shows a history. What somebody wants to see now are the jobs of the first one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gcron.state.opening.state_home", lambda: str(tmp_path / "gcron"))
    first = open_store(state, "jobs", KEEP)
    with pytest.raises(StateError) as refused:
        open_store(state, "jobs", KEEP)
    message = str(refused.value)
    assert message.startswith(f"a gcron runs as jobs already (process {os.getpid()}, since 20")
    assert message.endswith(f"): `gcron status --instance jobs` shows it, {other}")
    assert "\n" not in message
    first.close()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (None, "another --node with a copy of the crontab in another directory starts a second node on this machine"),
        ("jobs", "another --instance NAME starts one that shares no jobs with it"),
    ],
)
def test_a_second_node_in_the_same_place_learns_what_starts_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, other: str
) -> None:
    """The advice was --instance NAME: that has tables of its own, so each fire would start on both."""
    monkeypatch.setattr("gcron.state.opening.state_home", lambda: str(tmp_path / "gcron"))
    first = open_store(None, "jobs", KEEP)
    with pytest.raises(StateError) as refused:
        open_store("postgresql://", "jobs", KEEP, Sharing("b", name=name))
    assert str(refused.value).endswith(f"): `gcron status --instance jobs` shows it, {other}")
    first.close()


def test_a_gcron_of_other_crontabs_with_the_same_directory_is_named(tmp_path: Path) -> None:
    """It was called by the name of the one that was refused."""
    first = open_store(str(tmp_path), "jobs", KEEP)
    with pytest.raises(StateError) as refused:
        open_store(str(tmp_path), "others", KEEP)
    message = str(refused.value)
    assert message.startswith(f"a gcron runs as jobs already with the history in {tmp_path} (process {os.getpid()}, ")
    assert "`gcron status --instance jobs` shows it" in message
    first.close()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A worker of `multiprocessing` that outlived its program kept others from starting."""
    place = open_place(str(tmp_path / "x"), "x")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)
        place.close()
        os._exit(0)
    os.close(reader)
    assert (tmp_path / "x" / "pid").exists()
    place.close()
    open_place(str(tmp_path / "x"), "y").close()
    os.close(writer)
    os.waitpid(child, 0)


def test_the_lock_ends_with_its_process_also_by_kill(tmp_path: Path) -> None:
    script = (
        "import sys; from gcron.state.places import open_place; place = open_place(sys.argv[1], 'x'); "
        "print('has it', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "x")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"has it\n"
    with pytest.raises(StateError, match=f"process {child.pid}"):
        open_place(str(tmp_path / "x"), "x")
    child.kill()
    child.wait()
    child.stdout.close()
    child.stdin.close()
    open_place(str(tmp_path / "x"), "x").close()


def test_a_look_at_the_lock_does_not_keep_gcron_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`find_holder` has the lock for a moment, in which a gcron that started was refused."""
    import fcntl

    directory = str(tmp_path / "x")
    open_place(directory, "x").close()
    look = os.open(os.path.join(directory, "lock"), os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    monkeypatch.setattr(places.time, "sleep", lambda seconds: fcntl.flock(look, fcntl.LOCK_UN))
    open_place(directory, "x").close()
    os.close(look)


def test_a_file_system_that_cannot_lock_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(places.fcntl, "flock", refuse)
    opened = open_store(str(tmp_path / "x"), "x", KEEP)
    assert isinstance(opened.store, SqliteStore)
    assert "cannot be locked (No locks available)" in opened.note
    opened.close()


# -- where it is ------------------------------------------------------------------------------------------------


def test_the_usual_place_is_that_of_the_system_or_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_home() == "/var/lib/gcron"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert state_home() == str(tmp_path / ".local/state/gcron")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_home() == str(tmp_path / ".local/state/gcron"), "relative ones are to be ignored"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    assert state_home() == str(tmp_path / "states/gcron")


def usual_place(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(home))


def test_without_an_option_history_is_in_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual_place(monkeypatch, tmp_path)
    opened = open_store(None, "jobs", KEEP)
    assert isinstance(opened.store, SqliteStore)
    assert opened.store.directory == str(tmp_path / "gcron/jobs")
    assert opened.note == ""
    opened.close()


def test_where_nothing_can_be_written_it_is_in_memory_and_one_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    usual_place(monkeypatch, tmp_path / "file")
    opened = open_store(None, "jobs", KEEP)
    assert isinstance(opened.store, MemoryStore)
    assert opened.place is None
    assert "in memory only" in opened.note
    assert "Not a directory" in opened.note
    assert "\n" not in opened.note


def test_without_a_home_directory_it_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    opened = open_store(None, "jobs", KEEP)
    assert isinstance(opened.store, MemoryStore)
    assert "no home directory" in opened.note


def test_a_directory_that_was_asked_for_and_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"history cannot be kept in .*/file/x: Not a directory"):
        open_store(str(tmp_path / "file/x"), "x", KEEP)
    with pytest.raises(StateError, match="file is no directory"):
        open_store(str(tmp_path / "file"), "x", KEEP)


def test_memory_is_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = open_store("memory", "x", KEEP)
    assert isinstance(opened.store, MemoryStore)
    assert opened.note == ""
    assert not os.listdir(tmp_path)


def test_another_kind_of_store_is_refused() -> None:
    with pytest.raises(StateError, match="give a directory, or memory"):
        open_store("mysql://host/gcron", "x", KEEP)


# -- whose it is ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not IS_ROOT, reason="only root is refused, and only root can make what it is refused for")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: os.chown(path, 1000, 1000), "belongs to user 1000, not to root"),
        (lambda path: os.chmod(path, 0o770), "can be written by others: chmod go-w"),
        (lambda path: os.chmod(path, 0o702), "can be written by others: chmod go-w"),
    ],
)
def test_root_writes_nothing_where_others_can_change_it(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    directory = tmp_path / "x"
    directory.mkdir(0o700)
    spoil(directory)
    with pytest.raises(StateError, match=message):
        open_store(str(directory), "x", KEEP)
    assert not os.listdir(directory)


@pytest.mark.skipif(not IS_ROOT, reason="only root is refused, and only root can make what it is refused for")
def test_root_follows_no_symbolic_link_of_others(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    link = tmp_path / "link"
    link.symlink_to("real")
    open_store(str(link), "x", KEEP).close()
    os.lchown(link, 1000, 1000)
    with pytest.raises(StateError, match="belongs to user 1000"):
        open_store(str(link), "x", KEEP)


@pytest.mark.skipif(not IS_ROOT, reason="only root is refused, and only root can make what it is refused for")
@pytest.mark.parametrize("below", ["x", "x/y", "link/x"])
def test_root_writes_nothing_below_a_directory_of_others(tmp_path: Path, below: str) -> None:
    """Only the last directory was checked. The owner of the one above it could put another in its place.

    With `--state /home/b/state`, the user b did `mv state old; mkdir state; ln -s /opt/victim state/output`, and root
    wrote the output of b's job there.
    """
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o755)
    (tmp_path / "elsewhere").mkdir(0o700)
    (theirs / "link").symlink_to(tmp_path / "elsewhere")
    os.chown(theirs, 1000, 1000)
    with pytest.raises(StateError, match=r"theirs belongs to uid 1000, not to root: give a directory of root's own"):
        open_store(str(theirs / below), "x", KEEP)
    assert os.listdir(theirs) == ["link"], "nothing is made there"
    assert not os.listdir(tmp_path / "elsewhere")
    (theirs / "x").mkdir(0o700)  # root's own, in a directory of another user
    with pytest.raises(StateError, match="theirs belongs to uid 1000"):
        open_store(str(theirs / "x"), "x", KEEP)
    assert not os.listdir(theirs / "x")


@pytest.mark.skipif(not IS_ROOT, reason="only root is refused, and only root can make what it is refused for")
def test_a_directory_that_all_can_add_to_is_used_if_the_entry_is_roots(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    open_store(str(shared / "x"), "x", KEEP).close()
    (shared / "link").symlink_to(tmp_path)
    os.chown(shared / "link", 1000, 1000, follow_symlinks=False)
    with pytest.raises(StateError, match="link belongs to uid 1000"):
        open_store(str(shared / "link" / "y"), "y", KEEP)
    assert not (tmp_path / "y").exists()


@pytest.mark.skipif(not IS_ROOT, reason="only root is refused, and only root can make what it is refused for")
@pytest.mark.parametrize("name", ["output", "history.db", "history.db-wal", "lock"])
def test_root_follows_no_link_that_was_left_in_its_directory(tmp_path: Path, name: str) -> None:
    """`output -> /opt/victim`, made before the directory was root's, decided where root wrote."""
    victim = tmp_path / "victim"
    victim.mkdir()
    directory = tmp_path / "x"
    directory.mkdir(0o700)
    (directory / name).symlink_to(victim)
    with pytest.raises(StateError, match=f"{name} is a symbolic link"):
        open_store(str(directory), "x", KEEP)
    (directory / name).unlink()
    (directory / name).mkdir() if name == "output" else (directory / name).touch()
    os.chown(directory / name, 1000, 1000)
    with pytest.raises(StateError, match=f"{name} belongs to user 1000"):
        open_store(str(directory), "x", KEEP)
    assert not os.listdir(victim)


# Mounts a file system as Kubernetes mounts an `emptyDir`: it is root's, and all users can write it.
IN_VOLUME = 'mount -t tmpfs -o mode=0777 volume "$1" && shift && exec "$@"'
OPEN = """
import os, sys
from gcron.state.opening import Sharing, open_store
from gcron.errors import StateError
from gcron.state.rules import KEEP
volume, below, theirs = sys.argv[1:]
if theirs:
    os.mkdir(os.path.join(volume, theirs))
    os.chown(os.path.join(volume, theirs), 1000, 1000)
try:
    opened = open_store(os.path.join(volume, below), "x", KEEP)
except StateError as error:
    sys.exit(str(error))
print(opened.note)
for path in (volume, opened.place.directory):
    print(oct(os.stat(path).st_mode & 0o7777))
opened.close()
again = open_store(os.path.join(volume, below), "x", KEEP)
print("again:", again.note)
"""


def open_in_volume(tmp_path: Path, below: str, theirs: str = "", mode: str = "0777") -> tuple[int, list[str], str]:
    volume = tmp_path / "volume"
    volume.mkdir()
    mounting = IN_VOLUME.replace("0777", mode)
    command = [*("unshare", "--mount", "sh", "-c", mounting, "sh"), volume, sys.executable, "-c", OPEN]
    done = subprocess.run([*command, volume, below, theirs], capture_output=True, text=True, timeout=PATIENCE)
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip("nobody may mount a file system here")
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount")
@pytest.mark.parametrize(
    ("below", "note", "modes"),
    [
        ("", "was a volume that all users can write: gcron has closed it to them (mode 0700)", ["0o700", "0o700"]),
        ("jobs", "is a volume that all users can write: gcron has set its sticky bit", ["0o1777", "0o700"]),
        ("a/b", "is a volume that all users can write: gcron has set its sticky bit", ["0o1777", "0o700"]),
    ],
)
def test_an_empty_dir_of_kubernetes_is_used_and_closed_to_others(
    tmp_path: Path, below: str, note: str, modes: list[str]
) -> None:
    """It has mode 0777 and belongs to root. gcron as root refused to start, and a pod has no easy way to change it."""
    status, lines, errors = open_in_volume(tmp_path, below)
    assert (status, errors) == (0, "")
    assert f"{tmp_path}/volume {note}" in lines[0]
    assert lines[1:] == [*modes, "again: "]


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount")
def test_a_mount_that_is_meant_to_be_shared_is_not_closed(tmp_path: Path) -> None:
    """/tmp and /dev/shm are mounts of root's, too: closed, they would be of no use to anybody else."""
    status, _, errors = open_in_volume(tmp_path, "", mode="1777")
    assert status == 1
    assert "volume can be written by others" in errors
    (tmp_path / "volume").rmdir()
    assert open_in_volume(tmp_path, "jobs", mode="1777")[1] == ["", "0o1777", "0o700", "again: "]


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount")
@pytest.mark.parametrize("mode", ["0775", "2775"])
def test_a_mount_that_a_group_shares_is_left_as_it_is(tmp_path: Path, mode: str) -> None:
    """It was closed to its group, or got a sticky bit, because of "a volume that all users can write"."""
    status, _, errors = open_in_volume(tmp_path, "", mode=mode)
    assert status == 1
    assert "volume can be written by others" in errors
    for below in ("jobs", "a/b"):
        (tmp_path / "volume").rmdir()
        note, volume, directory, again = open_in_volume(tmp_path, below, mode=mode)[1]
        assert (note, volume, again) == ("", oct(int(mode, 8)), "again: ")
        assert directory.endswith("700"), "a new directory inherits the set-group-ID bit"


@pytest.mark.skipif(not IS_ROOT, reason="only root can mount")
@pytest.mark.parametrize(
    ("below", "theirs", "message"),
    [
        ("", "other", "volume can be written by others"),  # somebody else uses it: it is not closed
        ("jobs", "jobs", "jobs belongs to user 1000, not to root"),
    ],
)
def test_in_a_volume_root_writes_nothing_where_others_were_before(
    tmp_path: Path, below: str, theirs: str, message: str
) -> None:
    status, _, errors = open_in_volume(tmp_path, below, theirs)
    assert status == 1
    assert message in errors


def test_a_pipe_instead_of_the_lock_or_the_pid_is_not_waited_for(tmp_path: Path) -> None:
    """`gcron state --state DIR` of root, with a directory of another user: `mkfifo DIR/pid` let it hang."""
    place = open_place(str(tmp_path / "x"), "x")
    (tmp_path / "x/pid").unlink()
    os.mkfifo(tmp_path / "x/pid")
    assert str(find_holder(str(tmp_path / "x"))) == "another gcron"
    place.close()
    os.mkfifo(tmp_path / "lock")
    with suppress(OSError):
        find_holder(str(tmp_path))


# -- databases that are not ours --------------------------------------------------------------------------------


def test_a_database_of_a_newer_gcron_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    store.facts()
    store.close()
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / "history.db").read_bytes()
    with pytest.raises(StateError) as refused:
        open_store(str(tmp_path), "x", KEEP)
    assert "is of a newer gcron (version 99 of its tables; this gcron knows" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "history.db").read_bytes() == before
    assert find_holder(str(tmp_path)) is None, "it holds the lock no longer"


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_a_history_that_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    """The start opened a pipe to look at its first bytes, and waited for ever, without a word."""
    path = tmp_path / "history.db"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(StateError, match="is no regular file: move it away"):
        open_store(str(tmp_path), "x", KEEP)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute("PRAGMA application_id = 17")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StateError, match="belongs to another program"):
        open_store(str(tmp_path), "x", KEEP)
