"""User crontabs: `load_all` with a spool directory, beside /etc/crontab and cron.d, by cron's own rules."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from gcron.crontab import CrontabError, Loaded, LoadSettings, load, load_all
from gcron.crontab.source import read, read_of_user

USERS = {"alice": 3001, "bob": 3002, "j.doe": 3003}
AS_ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _users(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has alice, bob and j.doe; without root, all files belong to the one who runs the test."""

    def look_up(name: str) -> pwd.struct_passwd:
        if name not in USERS and name != "root":
            raise KeyError(name)
        uid = USERS.get(name, 0) if AS_ROOT else os.getuid()
        return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))

    monkeypatch.setattr("pwd.getpwnam", look_up)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "crontabs"
    path.mkdir()
    return path


@pytest.fixture
def write(spool: Path) -> Callable[..., Path]:
    def write(user: str, text: str, mode: int = 0o600, uid: int | None = None) -> Path:
        path = spool / user
        path.write_text(text)
        if AS_ROOT:
            os.chown(path, USERS.get(user, 0) if uid is None else uid, 0)
        path.chmod(mode)
        return path

    return write


def loaded(spool: Path, *paths: Path, previous: Loaded | None = None, system: bool = False) -> Loaded:
    settings = LoadSettings(spools=(str(spool),), system=system)
    return load_all(map(str, paths), settings, None, previous)


def messages(found: Loaded) -> list[str]:
    return [f"{Path(problem.path).name}: {problem.severity}: {problem.message}" for problem in found.problems]


def test_the_name_of_a_file_is_its_user(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "SHELL=/bin/bash\n0 3 * * * backup\n")
    write("bob", "0 3 * * * backup\n# gcron: name=mail\n@daily poll\n")
    write("j.doe", "@daily backup\n")

    found = loaded(spool)

    assert found.problems == ()
    assert [(entry.name, entry.user, entry.command) for entry in found.entries] == [
        ("alice:backup", "alice", "backup"),
        ("bob:backup", "bob", "backup"),
        ("bob:mail", "bob", "poll"),
        ("j.doe:backup", "j.doe", "backup"),
    ]


def test_a_spool_stands_beside_a_system_crontab_and_cron_d(
    spool: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("alice", "0 3 * * * root x\n")
    (tmp_path / "crontab").write_text("0 4 * * * bob x\n")
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d" / "db").write_text("0 5 * * * alice x\n")
    for path in (tmp_path / "crontab", tmp_path / "cron.d" / "db"):
        path.chmod(0o644)

    found = loaded(spool, tmp_path / "crontab", tmp_path / "cron.d", system=True)

    assert found.errors == ()
    assert [entry.owner for entry in found.entries] == ["", "", "alice"]
    assert [(entry.name, entry.user, entry.command) for entry in found.entries] == [
        ("x", "bob", "x"),
        ("x-2", "alice", "x"),
        ("alice:root", "alice", "root x"),  # a user's crontab has no user column
    ]


def test_what_is_left_over_is_passed_over_and_a_file_of_nobody_is_named(
    spool: Path, write: Callable[..., Path]
) -> None:
    for name in (".hidden", "#alice#", "alice~", "alice.rpmsave", "tmp.12345"):
        write(name, "@daily a\n", uid=0)
    write("gone", "@daily a\n", uid=0)
    (spool / "alice").mkdir()

    found = loaded(spool)

    assert found.entries == ()
    assert messages(found) == ["gone: warning: is left out: there is no user 'gone' on this machine"]


@pytest.mark.parametrize(
    ("mode", "accepted"),
    [
        *((mode, True) for mode in (0o600, 0o400, 0o644, 0o640)),
        *((mode, False) for mode in (0o660, 0o602, 0o700, 0o4600, 0o611, 0o200)),
    ],
)
def test_modes_are_those_of_cronie(spool: Path, write: Callable[..., Path], mode: int, accepted: bool) -> None:
    path = write("alice", "@daily a\n", mode)
    if not AS_ROOT and mode == 0o200:
        pytest.skip("without root, the file cannot even be opened")

    found = loaded(spool)

    assert len(found.entries) == accepted
    assert found.errors == ()
    if not accepted:
        assert messages(found) == [f"alice: warning: cannot be read: its mode is {path.stat().st_mode & 0o7777:04o}"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_a_file_belongs_to_its_user_or_to_root(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "@daily a\n", uid=0)
    write("bob", "@daily b\n", uid=USERS["alice"])

    found = loaded(spool)

    assert [entry.name for entry in found.entries] == ["alice:a"]
    assert messages(found) == [
        "bob: warning: cannot be read: it belongs to uid 3001, not to its user, whose uid is 3002, and not to root"
    ]
    trusting = LoadSettings(spools=(str(spool),), trusted_owners=frozenset({3001}))
    assert [entry.user for entry in load_all([], trusting).entries] == ["alice", "bob"]


def test_links_are_refused(spool: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    """Whoever may write the directory could let a user run another file's lines."""
    path = write("alice", "@daily a\n")
    os.link(path, spool / "bob")
    (spool / "j.doe").symlink_to(tmp_path / "elsewhere")

    found = loaded(spool)

    assert found.entries == ()
    assert [message.partition(": ")[0] for message in messages(found)] == ["alice", "bob", "j.doe"]
    assert "2 names (hard links)" in messages(found)[0]


def test_a_missing_spool_is_an_error(tmp_path: Path) -> None:
    assert messages(loaded(tmp_path / "none")) == ["none: error: cannot be read: no such file or directory"]


# -- what a user may not do -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        "user=root",
        "user=0",
        "user=bob",
        "nice=-5",
        "env-file=/etc/shadow",
        "output=raw",
        "notify=ops",
        "ready-line='(a+)+$'",
        "kill-after=1000h",
        "queue-limit=999999",
        "except-on=/root/holidays.ics",
    ],
)
def test_a_user_does_not_get_the_rights_of_others(spool: Path, write: Callable[..., Path], option: str) -> None:
    """gcron is root: `user=root` in a user's crontab would be root, `env-file=` reads a file as root."""
    write("alice", f"# gcron: {option}\n@daily a\n")
    write("bob", "@daily b\n")

    found = loaded(spool)

    assert [entry.name for entry in found.entries] == ["bob:b"]
    assert found.left_out == (str(spool / "alice"),)
    assert found.errors == ()
    error, left_out = messages(found)
    assert "is not for a user's crontab" in error
    assert left_out == "alice: warning: is left out because of its errors: its jobs do not run"


@pytest.mark.parametrize("option", ["user=alice", "nice=5", "output=discard", "kill-after=1m", "except-on=2026-12-24"])
def test_other_options_are_the_users(spool: Path, write: Callable[..., Path], option: str) -> None:
    write("alice", f"# gcron: {option}\n@daily a\n")

    found = loaded(spool)

    assert found.problems == ()
    assert len(found.entries) == 1


def test_defaults_are_looked_at_too(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "# gcron-defaults: user=root\n@daily a\n")

    assert loaded(spool).entries == ()


def test_an_error_of_one_user_does_not_stop_the_others(spool: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    """Any user could have kept gcron from starting, and every reload from working."""
    write("alice", "61 * * * * a\n")
    write("bob", "@daily b\n")
    (tmp_path / "crontab").write_text("# gcron: after=db\n@daily c\n@service db\n")
    (tmp_path / "crontab").chmod(0o644)

    found = loaded(spool, tmp_path / "crontab")

    assert [entry.name for entry in found.entries] == ["c", "db", "bob:b"]
    assert found.errors == ()


def test_the_files_of_root_are_checked_whatever_users_write(
    spool: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    """With an error in some file, services and groups are not checked: that must not depend on a user's file."""
    write("alice", "61 * * * * a\n")
    (tmp_path / "crontab").write_text("# gcron: after=nobody\n@daily c\n")
    (tmp_path / "crontab").chmod(0o644)

    assert len(loaded(spool, tmp_path / "crontab").errors) == 1


def test_a_user_takes_no_name_group_or_service_of_others(
    spool: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "crontab").write_text(
        "# gcron-group: db limit=5\n# gcron: name=backup group=db\n@daily x\n# gcron: name=cache\n@service c\n"
        "# gcron: name=alice:taken\n@daily y\n"
    )
    (tmp_path / "crontab").chmod(0o644)
    write(
        "alice",
        "# gcron-group: db limit=1\n# gcron: name=backup group=db after=cache\n@daily x\n"
        "# gcron: name=cache\n@service d\n",
    )
    write("bob", "# gcron: group=db\n@daily x\n")
    write("j.doe", "# gcron: after=cache\n@daily x\n")

    found = loaded(spool, tmp_path / "crontab")

    assert found.errors == ()
    assert [entry.name for entry in found.entries] == ["backup", "cache", "alice:taken", "alice:backup", "alice:cache"]
    assert dict(found.group_limits) == {"db": 5, "alice:db": 1}
    own = found.entries[3]
    assert (own.policy.group, own.policy.after) == ("alice:db", ("alice:cache",))
    assert sorted(Path(path).name for path in found.left_out) == ["bob", "j.doe"]


def test_a_name_that_root_has_given_leaves_the_user_out(
    spool: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "crontab").write_text("# gcron: name=alice:x\n@daily y\n")
    (tmp_path / "crontab").chmod(0o644)
    write("alice", "# gcron: name=x\n@daily z\n")

    found = loaded(spool, tmp_path / "crontab")

    assert [entry.name for entry in found.entries] == ["alice:x"]
    assert found.errors == ()


def test_two_users_have_other_minutes_for_the_same_line(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "H H * * * backup\n")
    write("bob", "H H * * * backup\n")

    first, second = loaded(spool).entries
    assert first.schedule != second.schedule


# -- reload -----------------------------------------------------------------------------------------------------------


def test_a_reload_keeps_the_jobs_of_a_crontab_that_is_wrong_now(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "# gcron-group: db limit=1\n# gcron: group=db\n@daily a\n")
    write("bob", "@daily b\n")
    first = loaded(spool)
    write("alice", "61 * * * * a\n")
    write("bob", "@daily b\n@daily c\n")

    second = loaded(spool, previous=first)

    assert sorted(entry.name for entry in second.entries) == ["alice:a", "bob:b", "bob:c"]
    assert dict(second.group_limits) == {"alice:db": 1}
    assert messages(second)[-1] == "alice: warning: is left out because of its errors: its jobs stay as they were"
    third = loaded(spool, previous=second)
    assert sorted(entry.name for entry in third.entries) == ["alice:a", "bob:b", "bob:c"]


def test_a_crontab_is_not_kept_if_root_has_given_one_of_its_names_meanwhile(
    spool: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    """Two jobs of one name would have let no reload through any more."""
    (tmp_path / "crontab").write_text("@daily y\n")
    (tmp_path / "crontab").chmod(0o644)
    write("alice", "# gcron: name=x\n@daily z\n")
    first = loaded(spool, tmp_path / "crontab")
    (tmp_path / "crontab").write_text("# gcron: name=alice:x\n@daily y\n")

    second = loaded(spool, tmp_path / "crontab", previous=first)

    assert [(entry.name, entry.command) for entry in second.entries] == [("alice:x", "y")]
    assert messages(second)[-1] == "alice: warning: is left out because of its errors: its jobs do not run"


def test_the_jobs_of_a_user_go_with_the_file(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "@daily a\n@daily a\n")
    first = loaded(spool)
    (spool / "alice").unlink()
    second = loaded(spool, previous=first)
    assert second.entries == ()


def test_made_up_names_of_users_stay_in_a_reload(spool: Path, write: Callable[..., Path]) -> None:
    write("alice", "@daily a --1\n@daily a --2\n")
    first = loaded(spool)
    write("alice", "@daily a --0\n@daily a --2\n")

    assert [entry.name for entry in first.entries] == ["alice:a", "alice:a-2"]
    assert [entry.name for entry in loaded(spool, previous=first).entries] == ["alice:a-3", "alice:a-2"]


def test_stdin_is_loaded_again_from_what_was_kept() -> None:
    """`gcron run -` was refused, because a reload cannot read standard input again: what was read is kept."""
    kept = b"@daily x --a\n@daily x --b\n"
    first = load_all(["-"], LoadSettings(), lambda: kept)
    second = load_all(["-"], LoadSettings(), lambda: kept, first)

    assert [entry.name for entry in second.entries] == ["x", "x-2"]
    assert first.entries == second.entries


# -- other owners -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_root_reads_the_files_of_an_owner_that_it_trusts(tmp_path: Path) -> None:
    """In a bind mount all files belong to uid 1000, and root had no way to say that this is right."""
    for name, text in {
        "crontab": "# gcron: except-on=days.ics\n@daily a\n",
        "days.ics": "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\n"
        "DTSTART;VALUE=DATE:20990101\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
        os.chown(tmp_path / name, 1000, 1000)
    path = str(tmp_path / "crontab")

    with pytest.raises(CrontabError, match="uid 1000") as caught:
        load(path)
    assert caught.value.problems[0].hint == "chown root it, or --trust-owner 1000"
    found = load_all([path], LoadSettings(trusted_owners=frozenset({1000})))
    assert found.problems == ()
    assert len(list(islice(found.entries, 2))) == 1
    os.chown(path, 1001, 1000)
    assert len(load_all([path], LoadSettings(trusted_owners=frozenset({1000}))).errors) == 1
    os.chown(path, 1000, 1000)
    (tmp_path / "crontab").chmod(0o666)
    assert len(load_all([path], LoadSettings(trusted_owners=frozenset({1000}))).errors) == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_the_caller_is_trusted_as_before(tmp_path: Path) -> None:
    path = tmp_path / "crontab"
    path.write_text("@daily a\n")
    path.chmod(0o600)

    assert read(path) == b"@daily a\n"
    assert read_of_user(str(path), 12345) == b"@daily a\n"


def test_a_user_declares_no_target(write: Callable[..., Path], spool: Path) -> None:
    """gcron would read `url-file=/etc/shadow` as root, and try to send something there."""
    write("alice", "# gcron-notify: ops url-file=/etc/shadow\n@daily a\n")

    found = loaded(spool)

    assert found.entries == ()
    assert found.targets == {}
    assert "alice: error: # gcron-notify: is not for a user's crontab" in messages(found)
