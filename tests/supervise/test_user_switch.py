"""Jobs of other users: they have exactly the rights of that user, and none of root. Most tests need root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.policy import Policy
from gcron.supervise.command import Command, command_of
from gcron.supervise.outcome import Outcome, RunResult

Perform = Callable[..., RunResult]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
# A number without an account, as containers often use.
NOBODYS_NUMBER = next(number for number in range(54321, 60000) if number not in {u.pw_uid for u in pwd.getpwall()})


def as_user(text: str, user: str | int, environment: dict[str, str] | None = None, **options: Any) -> Command:
    policy = Policy.from_options({"user": user, "cwd": "/", **options})
    return command_of(text, policy, environment=environment)


def at_home(text: str, user: str, **options: Any) -> Command:
    return command_of(text, Policy.from_options({"user": user, **options}))


@pytest.fixture
def somebody(tmp_path: Path) -> Iterator[str]:
    """A user with a home and two more groups. The account is removed after the test."""
    name, group = f"gcron-t{os.getpid()}", f"gcron-g{os.getpid()}"
    subprocess.run(["groupadd", group], check=True)
    try:
        subprocess.run(["useradd", "-M", "-d", "/var/tmp", "-G", f"{group},daemon", name], check=True)
        yield name
    finally:
        subprocess.run(["userdel", name], capture_output=True)
        subprocess.run(["groupdel", group], capture_output=True)


def parse_variables(lines: list[bytes]) -> dict[bytes, bytes]:
    return dict(line.split(b"=", 1) for line in lines)


@as_root
@pytest.mark.parametrize("user", ["daemon", "nobody"])
def test_all_user_and_group_ids_are_those_of_the_user(perform: Perform, listening: Any, user: str) -> None:
    perform(as_user("grep -E '^([UG]id|Cap(Prm|Eff|Inh|Amb))' /proc/self/status", user))
    account = pwd.getpwnam(user)
    real_effective_saved_fs = {line.split()[0]: line.split()[1:] for line in listening.out}
    assert real_effective_saved_fs[b"Uid:"] == [b"%d" % account.pw_uid] * 4
    assert real_effective_saved_fs[b"Gid:"] == [b"%d" % account.pw_gid] * 4
    for kind in (b"CapPrm:", b"CapEff:", b"CapInh:", b"CapAmb:"):
        assert int(real_effective_saved_fs[kind][0], 16) == 0


@as_root
def test_the_groups_are_exactly_those_of_the_user(perform: Perform, listening: Any, somebody: str) -> None:
    assert len(os.getgroups()) > 0 or os.setgroups([0, 4]) is None
    perform(as_user("id -G; id -g; id -un", somebody))
    expected = subprocess.run(["id", "-G", somebody], capture_output=True, check=True).stdout
    groups, group, name = listening.out
    assert sorted(groups.split()) == sorted(expected.split())
    assert len(groups.split()) == 3
    assert b"%d" % grp.getgrnam("daemon").gr_gid in groups.split()
    assert group == b"%d" % pwd.getpwnam(somebody).pw_gid
    assert name == somebody.encode()


@as_root
def test_a_user_can_be_given_by_number(perform: Perform, listening: Any) -> None:
    daemon = pwd.getpwnam("daemon")
    perform(as_user("id -un; id -G", daemon.pw_uid))
    assert listening.out == [b"daemon", subprocess.check_output(["id", "-G", "daemon"]).strip()]


@as_root
def test_a_user_without_an_account_has_only_the_group_of_its_number(perform: Perform, listening: Any) -> None:
    number = b"%d" % NOBODYS_NUMBER
    perform(at_home("id -u; id -g; id -G; pwd; echo $USER $LOGNAME $HOME", str(NOBODYS_NUMBER)))
    assert listening.out == [number, number, number, b"/", number + b" " + number + b" /"]


@as_root
def test_only_language_and_time_zone_of_roots_environment_are_kept(
    perform: Perform, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRET", "http_proxy", "LD_LIBRARY_PATH", "PYTHONPATH", "SUDO_USER", "XDG_RUNTIME_DIR", "MAIL"):
        monkeypatch.setenv(name, "of root")
    monkeypatch.setenv("GCRON_TOKEN", "of root")
    monkeypatch.setenv("PATH", f"/root/bin:{os.environ['PATH']}")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    perform(as_user("env", "daemon", environment={"FROM_CRONTAB": "yes"}))
    variables = parse_variables(listening.out)
    del variables[b"GCRON_RUN_ID"], variables[b"GCRON_MARK"]
    assert {name: value for name, value in variables.items() if not name.startswith((b"LC_", b"LANG"))} == {
        b"HOME": os.fsencode(pwd.getpwnam("daemon").pw_dir),
        b"LOGNAME": b"daemon",
        b"USER": b"daemon",
        b"SHELL": b"/bin/sh",
        b"PATH": b"/usr/local/bin:/usr/bin:/bin",
        b"TZ": b"Europe/Berlin",
        b"FROM_CRONTAB": b"yes",
        b"GCRON_JOB": b"test",
        b"GCRON_FIRE_AT": b"",
        b"GCRON_ATTEMPT": b"1",
        b"PWD": b"/",  # set by the shell
    }
    assert (variables[b"LC_TIME"], variables[b"LANG"]) == (b"C", b"C.UTF-8")


@as_root
def test_a_job_starts_in_the_home_of_its_user_or_of_the_crontab(
    perform: Perform, listening: Any, somebody: str
) -> None:
    perform(at_home("pwd", somebody))
    perform(command_of("pwd; echo $HOME", Policy.from_options({"user": somebody}), environment={"HOME": "/usr"}))
    assert listening.out == [b"/var/tmp", b"/usr", b"/usr"]


@as_root
def test_no_descriptor_of_root_is_inherited(perform: Perform, listening: Any, tmp_path: Path) -> None:
    leaked = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        perform(as_user("ls /proc/$$/fd", "daemon"))
    finally:
        os.close(leaked)
    assert listening.out == [b"0", b"1", b"2"]


@as_root
def test_a_job_can_open_its_standard_streams(perform: Perform, listening: Any) -> None:
    """Root had made the pipes: a job could write to /dev/stdout, but not open it."""
    text = "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr; echo more | tee /dev/stderr"
    command = command_of(text, Policy.from_options({"user": "daemon", "cwd": "/"}), stdin=b"in\n")
    assert perform(command).outcome is Outcome.SUCCEEDED
    assert (listening.out, listening.err) == ([b"in", b"out", b"more"], [b"err", b"more"])


@as_root
def test_a_job_cannot_use_what_only_root_may_use(perform: Perform, listening: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of root")
    tmp_path.chmod(0o700)
    result = perform(as_user(f"cat {tmp_path}/secret", "daemon"))
    assert (result.outcome, listening.out) == (Outcome.FAILED, [])
    perform(as_user("kill -0 1 2>/dev/null || echo refused", "daemon"))
    assert listening.out == [b"refused"]


@as_root
def test_the_directory_is_entered_with_the_rights_of_the_user(perform: Perform, tmp_path: Path) -> None:
    """Before the switch root would enter a directory that the user may not enter."""
    tmp_path.chmod(0o700)
    result = perform(as_user("pwd", "daemon", cwd=str(tmp_path)))
    assert result.outcome is Outcome.START_FAILED
    # The message says that it cannot be seen when a directory above is closed, too.
    assert str(tmp_path) in result.reason.text


@as_root
def test_with_a_missing_home_the_run_starts_in_the_root_directory_and_says_so(
    perform: Perform, listening: Any, somebody: str
) -> None:
    """Users of the system often have a home that nobody made. cron starts in `/` then; gcron did not start the job."""
    subprocess.run(["usermod", "-d", "/no/such/home", somebody], check=True)
    result = perform(at_home("pwd; echo $HOME; echo error >&2", somebody))
    assert (result.outcome, listening.out, listening.err) == (Outcome.SUCCEEDED, [b"/", b"/no/such/home"], [b"error"])
    assert listening.notices == ["there is no directory /no/such/home, the home of its user: it starts in /"]


@pytest.mark.parametrize("user", ["no-such-user", "4294967295", "99999999999999999999", "\u0660"])
def test_an_unknown_user_refuses_the_run(perform: Perform, user: str) -> None:
    """For setreuid(2) 4294967295 is -1, which changes nothing: the job would run as root.

    U+0660 is the digit 0 in Arabic, and `int` reads it: the job ran as root, too.
    """
    result = perform(as_user("id", user))
    assert (result.outcome, result.reason.text) == (Outcome.START_FAILED, f"cannot start: there is no user {user}")
    assert result.output_size == 0


@as_root
@pytest.mark.parametrize("user", ["jörg", "DOM\\ann", "x.y-z_1$"], ids=["umlaut", "domain", "marks"])
def test_names_of_users_may_hold_what_account_databases_allow(
    gcron_run: Callable[..., Any], tmp_path: Path, user: str
) -> None:
    """`jörg` and `DOM\\ann` were refused, though the machine had accounts of these names."""
    # All of /etc: usermod, in another test, replaces the file /etc/passwd, and that ends a mount on it.
    settings = tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", str(settings)], stderr=subprocess.DEVNULL)  # its lock files come and go
    with (settings / "passwd").open("a") as accounts:
        accounts.write(f"{user}:x:{NOBODYS_NUMBER}:{NOBODYS_NUMBER}::/:/bin/sh\n")
    mounted = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(settings))
    if subprocess.run([*mounted, "true"], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    say = 'printf "I am %s %s\\n" "$LOGNAME" "$(id -u)"'
    text = f"# gcron: name=column\n@reboot {user} {say}\n# gcron: name=option user='{user}'\n@reboot root {say}\n"
    daemon = gcron_run(text.replace("%", r"\%"), "--system", before=mounted)
    daemon.wait_for("(column|option) +succeeded", 2)
    assert daemon.log.count(f"I am {user} {NOBODYS_NUMBER}") == 2
    assert "no user" not in daemon.log + daemon.errors
    assert daemon.stop() == 0


@as_root
@pytest.mark.parametrize("missing", ["setuid", "setgid"])
def test_root_without_the_right_to_switch_users_refuses_the_run(gcron_run: Callable[..., Any], missing: str) -> None:
    """A container may drop these rights. Half a switch would be worse than none."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv here")
    before = ("setpriv", "--bounding-set", f"-{missing}")
    daemon = gcron_run("# gcron: user=daemon name=job\n@reboot echo never\n", before=before)
    daemon.wait_for("cannot start: gcron is root, but may not run a job as daemon")
    assert daemon.stop() == 0
    assert "never" not in daemon.log


@pytest.fixture
def not_root() -> Iterator[int]:
    """Run the test without root; return the number of its user."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    os.seteuid(NOBODYS_NUMBER)
    try:
        yield NOBODYS_NUMBER
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("user", ["daemon", "root", "0", "1"])
def test_without_root_a_run_as_another_user_is_refused(perform: Perform, not_root: int, user: str) -> None:
    result = perform(as_user("id", user))
    name = {"0": "root", "1": pwd.getpwuid(1).pw_name}.get(user, user)
    assert (result.outcome, result.reason.text) == (
        Outcome.START_FAILED,
        f"cannot start: only root can run a job as {name}",
    )


def test_a_job_of_the_own_user_needs_no_switch(
    perform: Perform, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a system crontab, jobs of gcron's own user run as in a crontab without users."""
    monkeypatch.setenv("INHERITED", "yes")
    perform(at_home("echo $INHERITED; pwd", str(os.geteuid())))
    assert listening.out == [b"yes", os.fsencode(os.getcwd())]


@as_root
def test_processes_of_the_user_are_ended_with_the_run(perform: Perform) -> None:
    marker = f"987{os.getpid()}"
    script = f"setsid sleep {marker} & setsid setsid sleep {marker} & sleep {marker}"
    assert perform(as_user(script, "daemon", timeout=0.5), timeout=0.5).outcome is Outcome.TIMED_OUT
    assert subprocess.run(["pgrep", "-f", f"sleep {marker}"], capture_output=True).stdout == b""
