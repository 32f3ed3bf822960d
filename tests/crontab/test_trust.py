"""Files that root reads, beside users who want to decide what they say. Real users: each attack is made as one."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gcron.crontab import CrontabError, LoadSettings, load, load_all
from gcron.crontab.source import read, read_of_user
from gcron.supervise.surroundings import read_env_file

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become other users and give files away")

ENTRY = "0 3 * * * backup\n"
EVIL = "* * * * * steal\n"
ALICE, BOB = 61001, 61002
OWNER, USER, OWNING_GROUP, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of root's that every user can enter; `tmp_path` is for root alone."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def written(path: Path, text: str = ENTRY, mode: int = 0o644, owner: int = 0) -> Path:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def directory(path: Path, mode: int, owner: int = 0) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def as_user(uid: int, attack: Callable[[], object], groups: tuple[int, ...] = ()) -> bool:
    """Do it in a process of that user; True if the kernel let it."""
    _, raw = os.waitpid(begin_as_user(uid, attack, groups), 0)
    status = os.waitstatus_to_exitcode(raw)
    assert status in (0, 1)
    return status == 0


def begin_as_user(uid: int, attack: Callable[[], object], groups: tuple[int, ...] = ()) -> int:
    if child := os.fork():
        return child
    status = 2
    try:
        os.setgroups(groups)
        os.setgid(uid)
        os.setuid(uid)
        attack()
        status = 0
    except PermissionError:
        status = 1
    finally:
        os._exit(status)


def replace(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def rewrite(uid: int, path: Path, groups: tuple[int, ...] = ()) -> bool:
    return as_user(uid, lambda: path.write_text(EVIL), groups)


def set_acl(path: Path, *entries: tuple[int, int, int], mask: int = 7) -> None:
    """As `setfacl -m`: entries are tag, rights and id."""
    entries = ((OWNER, 7, NO_ID), *sorted(entries), (MASK, mask, NO_ID), (OTHER, 5, NO_ID))
    if not any(tag == OWNING_GROUP for tag, _, _ in entries):
        entries = tuple(sorted((*entries, (OWNING_GROUP, 5, NO_ID))))
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError as error:
        pytest.skip(f"this file system has no ACLs: {error}")


def refusal(path: Path) -> str:
    with pytest.raises(CrontabError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.hint
    return problem.message.removeprefix("cannot be read: ")


# -- ACLs -------------------------------------------------------------------------------------------------------------


@only_root
@pytest.mark.parametrize(
    ("entry", "groups", "who"),
    [
        ((USER, 6, BOB), (), f"uid {BOB} (by its ACL)"),
        ((GROUP, 6, 61010), (61010,), "group 61010 (by its ACL)"),
    ],
)
def test_an_acl_that_lets_another_user_write_is_refused(
    place: Path, entry: tuple[int, int, int], groups: tuple[int, ...], who: str
) -> None:
    """`setfacl -m u:bob:rw crontab` shows as group bits with gid 0, which were trusted: root ran what Bob wrote."""
    crontab = written(place / "crontab")
    set_acl(crontab, entry)
    assert crontab.stat().st_gid == 0
    assert rewrite(BOB, crontab, groups), "the attack works"

    assert refusal(crontab) == f"{who} can write it"
    with pytest.raises(ValueError, match=r"can write it"):
        read_env_file(str(crontab))


@only_root
def test_an_acl_whose_mask_or_entries_let_nobody_write_is_fine(place: Path) -> None:
    crontab = written(place / "crontab")
    for entry, mask in [((USER, 6, BOB), 5), ((USER, 4, BOB), 7), ((USER, 6, 0), 7)]:
        set_acl(crontab, entry, mask=mask)
        assert not rewrite(BOB, crontab)

        assert len(load(crontab).entries) == 1


@only_root
def test_the_owning_group_of_an_acl_counts_without_its_mask(place: Path) -> None:
    crontab = written(place / "crontab")
    os.chown(crontab, 0, 61010)
    set_acl(crontab, (USER, 6, 0), (OWNING_GROUP, 6, NO_ID))
    assert rewrite(BOB, crontab, (61010,))

    assert refusal(crontab) == "group 61010 can write it"


@only_root
def test_an_acl_of_a_directory_is_looked_at_too(place: Path) -> None:
    """The right to write a directory is the right to put another crontab in the place of root's."""
    below = directory(place / "jobs", 0o755)
    crontab = written(below / "crontab")
    set_acl(below, (USER, 7, BOB))
    log = written(place / "log", EVIL)
    assert as_user(BOB, lambda: replace(crontab, log))

    assert refusal(crontab).startswith(f"uid {BOB} (by its ACL) can write the directory {below}")


# -- directories ------------------------------------------------------------------------------------------------------


@only_root
def test_a_crontab_of_roots_in_a_directory_of_another_user_is_refused(place: Path) -> None:
    """Bob put a link to a file of root's with text of his choice, a log, in the place of the crontab."""
    home = directory(place / "bob", 0o755, owner=BOB)
    crontab = written(home / "crontab")
    log = written(place / "log", EVIL)
    assert refusal(crontab) == f"the directory {home} belongs to uid {BOB}, not to root"

    assert as_user(BOB, lambda: replace(crontab, log))

    assert refusal(crontab) == f"the directory {home} belongs to uid {BOB}, not to root"
    with pytest.raises(ValueError, match="belongs to uid"):
        read_env_file(str(crontab))


@only_root
@pytest.mark.parametrize(("mode", "group"), [(0o777, 0), (0o775, 61010)])
def test_a_directory_that_others_can_write_is_refused_and_named(place: Path, mode: int, group: int) -> None:
    cron_d = directory(place / "cron.d", mode)
    os.chown(cron_d, 0, group)
    written(cron_d / "jobs")
    log = written(place / "log", EVIL)
    assert as_user(BOB, lambda: (cron_d / "more").symlink_to(log), (group,) if group else ())

    found = load_all([str(cron_d)], LoadSettings())

    (problem,) = found.errors
    assert f"can write the directory {cron_d}" in problem.message
    assert not found.entries
    for name in ("jobs", "more"):
        assert f"can write the directory {cron_d}" in refusal(cron_d / name)


@only_root
def test_a_directory_higher_up_counts_as_well(place: Path) -> None:
    """Bob renames a directory that he cannot write, if he can write the one above it."""
    above = directory(place / "srv", 0o777)
    crontab = written(directory(above / "jobs", 0o755) / "crontab")
    assert as_user(BOB, lambda: crontab.parent.rename(above / "jobs.old"))

    assert f"can write the directory {above}" in refusal(above / "jobs.old" / "crontab")


@only_root
def test_in_a_sticky_directory_entries_of_root_are_fine_and_others_are_not(place: Path) -> None:
    """The sticky bit, as in /tmp: what belongs to root can be replaced by nobody else."""
    shared = directory(place / "tmp", 0o1777)
    crontab = written(shared / "crontab")
    assert not as_user(BOB, crontab.unlink)
    log = written(place / "log", EVIL)
    assert as_user(BOB, lambda: (shared / "link").symlink_to(log))
    assert as_user(BOB, (shared / "below").mkdir)
    written(shared / "below" / "crontab")
    (shared / "own-link").symlink_to(log)

    assert len(load(crontab).entries) == 1
    assert len(load(shared / "own-link").entries) == 1
    assert refusal(shared / "link").startswith(f"{shared}/link belongs to uid {BOB}, not to root")
    assert refusal(shared / "below" / "crontab").startswith(f"{shared}/below belongs to uid {BOB}, not to root")


@only_root
def test_a_file_of_roots_with_a_second_name_in_a_sticky_directory_is_refused(place: Path) -> None:
    """Where the kernel allows it (fs.protected_hardlinks=0), Bob gives a log of root's the name of a crontab."""
    shared = directory(place / "tmp", 0o1777)
    os.link(written(place / "log", EVIL), shared / "crontab")

    assert refusal(shared / "crontab").startswith(f"{shared}/crontab has 2 names (hard links)")


@only_root
def test_a_file_of_roots_with_a_second_name_in_another_users_directory_is_refused(place: Path) -> None:
    home = directory(place / "alice", 0o755, owner=ALICE)
    os.link(written(place / "log", EVIL), home / "crontab")

    assert refusal(home / "crontab") == f"the directory {home} belongs to uid {ALICE}, not to root"


@only_root
def test_links_of_root_are_followed_and_what_they_lead_through_is_checked(place: Path) -> None:
    home = directory(place / "bob", 0o755, owner=BOB)
    written(home / "crontab")
    safe = directory(place / "safe", 0o755)
    written(safe / "crontab")
    for number, (target, is_fine) in enumerate(
        [
            (str(safe), True),
            ("safe", True),
            ("bob/../safe", False),
            (f"{safe}/../safe/.", True),
            (str(home), False),
            ("bob", False),
        ]
    ):
        link = place / f"link{number}"
        link.symlink_to(target)
        if is_fine:
            assert len(load(link / "crontab").entries) == 1
        else:
            assert refusal(link / "crontab") == f"the directory {home} belongs to uid {BOB}, not to root"
    (place / "loop").symlink_to("loop")
    assert "levels of symbolic links" in _reason(place / "loop" / "crontab")


def _reason(path: Path) -> str:
    with pytest.raises(CrontabError) as caught:
        load(path)
    return caught.value.problems[0].message


@only_root
def test_a_relative_path_is_checked_from_the_root(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = directory(place / "bob", 0o755, owner=BOB)
    below = directory(home / "below", 0o755)
    written(below / "crontab")
    monkeypatch.chdir(below)

    assert refusal(Path("crontab")) == f"the directory {home} belongs to uid {BOB}, not to root"


@only_root
def test_a_trusted_owner_may_own_the_directories_and_no_other_user(place: Path) -> None:
    home = directory(place / "alice", 0o755, owner=ALICE)
    crontab = written(home / "crontab", owner=ALICE)

    assert read(crontab, {ALICE}) == ENTRY.encode()
    with pytest.raises(CrontabError):
        read(crontab, {BOB})


@only_root
def test_the_owner_of_a_user_crontab_may_own_it_in_the_shared_spool(place: Path) -> None:
    """Debian's spool is 1730 root:crontab, where crontab(1) writes as the group, and users own their files."""
    spool = directory(place / "crontabs", 0o1730)
    os.chown(spool, 0, 61010)
    written(spool / "alice", mode=0o600, owner=ALICE)
    written(spool / "mallory", mode=0o600, owner=BOB)

    assert read_of_user(str(spool / "alice"), ALICE) == ENTRY.encode()
    with pytest.raises(CrontabError, match="belongs to uid"):
        read_of_user(str(spool / "mallory"), ALICE)


@only_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_a_read_only_mount_cannot_be_written_whatever_its_mode(place: Path) -> None:
    """Kubernetes mounts a ConfigMap with mode 0777, read-only: every crontab in one would be refused."""
    volume = directory(place / "volume", 0o777)
    written(directory(volume / "..data", 0o755) / "crontab")
    (volume / "crontab").symlink_to("..data/crontab")
    script = f"""
        mount --bind {volume} {volume} && mount -o remount,bind,ro {volume} &&
        {sys.executable} -c "import gcron.crontab as c; print(len(c.load('{volume}/crontab').entries))"
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"no mount namespace: {done.stderr}")

    assert (done.stdout, done.stderr) == ("1\n", "")


@only_root
def test_while_another_user_swaps_links_root_reads_only_what_it_checked(place: Path) -> None:
    """Between a check of a path and its opening, another user can put something else there."""
    shared = directory(place / "tmp", 0o1777)
    crontab = written(place / "crontab")
    evil = written(place / "log", EVIL)
    new = shared / "new"

    def swap() -> None:
        while True:
            for target in (crontab, evil):
                new.symlink_to(target)
                new.rename(shared / "x")

    swapping = begin_as_user(BOB, swap)
    try:
        for _ in range(2000):
            with pytest.raises(CrontabError):
                read(shared / "x")
    finally:
        os.kill(swapping, signal.SIGKILL)
        os.waitpid(swapping, 0)


@only_root
def test_no_descriptor_is_left_open_by_what_is_refused(place: Path) -> None:
    home = directory(place / "bob", 0o755, owner=BOB)
    written(home / "crontab")
    before = os.listdir("/proc/self/fd")
    for path in (home / "crontab", place / "none" / "x", place / "none", home):
        with pytest.raises(CrontabError):
            load(path)

    assert os.listdir("/proc/self/fd") == before


# -- without root -----------------------------------------------------------------------------------------------------


def test_others_are_warned_of_what_anybody_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root decides for himself what he runs, but should know that anybody else may change it."""
    monkeypatch.setattr(os, "geteuid", lambda: ALICE)
    cron_d = tmp_path / "cron.d"
    cron_d.mkdir()
    for name in ("a", "b"):
        (cron_d / name).write_text(ENTRY)
        (cron_d / name).chmod(0o644)
    cron_d.chmod(0o755)
    assert load_all([str(cron_d)], LoadSettings()).problems == ()

    cron_d.chmod(0o777)
    (cron_d / "b").chmod(0o666)
    found = load_all([str(cron_d)], LoadSettings())

    assert len(found.entries) == 2
    assert [(problem.severity, problem.path, problem.message) for problem in found.problems] == [
        ("warning", str(cron_d), "anybody can write this directory, and put other crontabs into it"),
        ("warning", str(cron_d / "b"), "anybody can write it"),
    ]
    cron_d.chmod(0o1777)
    (cron_d / "b").chmod(0o644)
    assert load_all([str(cron_d)], LoadSettings()).problems == ()
