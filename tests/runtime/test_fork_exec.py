"""`fork_exec.start`: a process with exactly the descriptors, variables and user that it is given."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from gcron.runtime import fork_exec
from gcron.runtime.fork_exec import SwitchTo, start

NULL = os.open(os.devnull, os.O_RDWR)


@pytest.fixture(params=["lean", "standard library"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test also runs where the private function of the standard library is missing."""
    if request.param != "lean":
        monkeypatch.setattr(fork_exec, "_fork_exec", None)


def printed(argv: Sequence[str], variables: dict[bytes, bytes] | None = None, **more: Any) -> tuple[bytes, int]:
    """What the process prints, and its exit status."""
    ours, theirs = os.pipe()
    try:
        pid = start(argv, variables or {}, (NULL, theirs, NULL), **more)
    finally:
        os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        output = pipe.read()
    return output, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_has_three_descriptors_a_session_of_its_own_and_default_signals() -> None:
    """What Python ignores is not ignored there. SIGHUP may be: `nohup` asks for that, also for all that is started."""
    inherited = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(inherited, True)
    try:
        command = "ls /proc/self/fd | wc -l; cut -d' ' -f1,6 /proc/self/stat; grep SigIgn /proc/self/status"
        output, status = printed(["/bin/sh", "-c", command])
    finally:
        os.close(inherited)
    descriptors, identity, ignored = output.splitlines()
    assert status == 0
    assert descriptors == b"4"  # the fourth is the directory that ls reads
    assert identity.split()[0] != str(os.getsid(0)).encode()
    asked = 1 << (signal.SIGHUP - 1) if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else 0
    assert int(ignored.split()[1], 16) == asked


def test_its_variables_are_those_it_is_given_and_no_others() -> None:
    output, _ = printed(["/usr/bin/env"], {b"A": b"1 2", b"B": b"", b"C": b"\xff="})
    assert output.splitlines() == [b"A=1 2", b"B=", b"C=\xff="]


def test_its_umask() -> None:
    assert printed(["/bin/sh", "-c", "umask"], umask=0o027) == (b"0027\n", 0)


def test_its_status_is_for_the_caller() -> None:
    assert printed(["/bin/sh", "-c", "exit 7"])[1] == 7
    assert printed(["/bin/sh", "-c", "kill -9 $$"])[1] == -signal.SIGKILL


@pytest.mark.parametrize(
    ("argv", "number"),
    [
        (["/no/such/program"], errno.ENOENT),
        (["/etc/passwd"], errno.EACCES),
        (["/"], errno.EACCES),
        (["/bin/sh", "-c", "true " + "x" * 200_000], errno.E2BIG),
        (["sh"], errno.ENOENT),
    ],
)
def test_a_program_that_cannot_be_executed_is_an_error_with_its_name(argv: list[str], number: int) -> None:
    before, children = os.listdir("/proc/self/fd"), psutil.Process().children()
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        start(argv, {}, (NULL, NULL, NULL))
    assert (raised.value.errno, raised.value.filename) == (number, argv[0])
    assert os.listdir("/proc/self/fd") == before
    assert set(psutil.Process().children()) <= set(children), "a child is left"  # zombies count, too


@pytest.mark.parametrize(
    ("argv", "variables"),
    [
        (["/bin/sh", "a\0b"], {}),
        (["/bin/sh"], {b"A": b"\0"}),
        (["/bin/sh"], {b"A\0": b""}),
        (["/bin/sh"], {b"A=B": b""}),
    ],
)
def test_a_nul_or_an_equals_sign_where_none_can_be_is_an_error(argv: list[str], variables: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r"null byte|illegal environment variable name"):
        start(argv, variables, (NULL, NULL, NULL))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_belongs_to_the_user_with_exactly_those_groups() -> None:
    output, _ = printed(["/usr/bin/id"], user=SwitchTo(65534, 65533, (65533, 1)))
    assert b"uid=65534" in output
    assert b"gid=65533" in output
    groups = subprocess.check_output(["id", "-G"], user=65534, group=65533, extra_groups=[65533, 1])
    assert sorted(groups.split()) == [b"1", b"65533"]
    assert output.count(b"65533") == 2
