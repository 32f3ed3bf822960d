"""`gcron run` under what the hardened unit and the hardened container forbid.

Neither systemd nor docker is needed: each restriction is made as they make it, by mounts, capabilities and a filter of
system calls. The values are read from the examples.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
UNIT = (EXAMPLES / "systemd" / "gcron-hardened.service").read_text()
COMPOSE = (EXAMPLES / "container" / "compose-hardened.yaml").read_text()
Run = Callable[..., Any]

# A root file system that nobody can write, but for one directory.
READ_ONLY = (
    'mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift && exec "$@" || exit 125'
)
FILTER = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
CALLS
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};
int main(int count, char **words) {
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 125;
    execv(words[1], words + 1);
    return 126;
}
"""
pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away"),
    pytest.mark.skipif(not (shutil.which("setpriv") and shutil.which("unshare")), reason="needs util-linux"),
]


def value_of(setting: str) -> str:
    (value,) = re.findall(rf"^{setting}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def calls_of(group: str) -> set[str]:
    """The system calls of a group of systemd's."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    words = {line.strip() for line in lines[1:] if line.startswith("    ") and not line.strip().startswith("#")}
    groups = {word for word in words if word.startswith("@")}
    return (words - groups).union(*map(calls_of, groups))


@pytest.fixture
def system_calls(tmp_path: Path) -> tuple[str, ...]:
    """A program that starts another one with the system calls of the unit alone."""
    if shutil.which("gcc") is None or shutil.which("systemd-analyze") is None:
        pytest.skip("the filter needs a C compiler, and systemd-analyze for its groups")
    assert value_of("SystemCallErrorNumber") == "EPERM"
    calls = [f"#ifdef SYS_{name}\n    ALLOW(SYS_{name}),\n#endif" for name in calls_of(value_of("SystemCallFilter"))]
    assert len(calls) > 100
    (tmp_path / "filter.c").write_text(FILTER.replace("CALLS", "\n".join(calls)))
    subprocess.run(["gcc", "-o", tmp_path / "filter", tmp_path / "filter.c"], check=True)
    return (str(tmp_path / "filter"),)


def read_only_but(directory: Path) -> tuple[str, ...]:
    return ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(directory))


def wait_for(daemon: Any, pattern: str, count: int = 1) -> Any:
    try:
        return daemon.wait_for(pattern, count)
    except AssertionError:
        if daemon.process.poll() == 125:
            pytest.skip(f"nobody may mount here: {daemon.errors}")
        raise


def status_of(text: str) -> dict[str, str]:
    """What /proc/PID/status says in the log, by its names."""
    return dict(re.findall(r"\| (NoNewPrivs|Seccomp|CapEff|CapBnd):\s+(\S+)", text))


def test_gcron_works_under_the_hardened_unit(
    gcron_run: Run, tmp_path: Path, system_calls: tuple[str, ...], marked_processes: Any, unique: str
) -> None:
    """The unit was written and never tried."""
    rights = ",".join(
        ["-all", *(f"+{name.lower().removeprefix('cap_')}" for name in value_of("CapabilityBoundingSet").split())]
    )
    assert value_of("NoNewPrivileges") == "yes"
    assert value_of("ProtectSystem") == "strict"
    less = ("setpriv", "--no-new-privs", "--bounding-set", rights, "--inh-caps=-all")
    text = (
        "# gcron: name=own cwd=/\n"
        f"@reboot root touch /{unique} || echo read-only; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status\n"
        "# gcron: name=other cwd=/\n@reboot nobody cat%I am nobody\n"
        "# gcron: name=slow cwd=/ timeout=1s kill-after=0.3s\n"
        f"@reboot nobody trap '' TERM; setsid sleep {unique} & sleep {unique}; sleep {unique}\n"
        "# gcron: name=beat\n@every 1s root true\n"
    )
    daemon = gcron_run(text, "--system", before=(*read_only_but(tmp_path), *less, *system_calls))
    wait_for(daemon, r"own +\| read-only")
    daemon.wait_for(r"own +succeeded")
    daemon.wait_for(r"other +\| I am nobody")
    daemon.wait_for(r"slow +timed-out: still running after 1 s \(after")
    daemon.wait_for(r"beat +succeeded", 2)
    assert marked_processes(unique) == []
    assert daemon.stop() == 0
    assert status_of(daemon.log) == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "00000000000000e0"}
    assert (tmp_path / "state0" / "history.db").exists()
    assert "warning" not in daemon.log


def test_gcron_works_under_the_hardened_container(gcron_run: Run, tmp_path: Path, unique: str) -> None:
    (user, group) = re.findall(r'user: "(\d+):(\d+)"', COMPOSE)[0]
    for line in ("cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]', "read_only: true"):
        assert line in COMPOSE
    nobody = ("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all")
    nobody += ("--inh-caps=-all",)
    if subprocess.run([*nobody, sys.executable, "-c", "import gcron"], check=False, cwd="/").returncode:
        pytest.skip("only root can read this checkout")
    volume = tmp_path / "volume"
    volume.mkdir(0o700)
    os.chown(volume, int(user), int(group))
    for directory in (tmp_path, *tmp_path.parents):
        if not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o011)
    text = (
        "# gcron: name=own\n"
        f"@reboot touch /{unique} || echo read-only; grep -E 'NoNewPrivs|CapBnd|CapEff' /proc/self/status\n"
        "# gcron: name=slow timeout=1s kill-after=0.3s\n@reboot trap '' TERM; sleep 60; sleep 60\n"
        "# gcron: name=beat\n@every 1s true\n"
    )
    before = (*read_only_but(volume), *nobody)
    daemon = gcron_run(text, "--state", str(volume / "jobs"), before=before)
    wait_for(daemon, r"own +\| read-only")
    daemon.wait_for(r"slow +timed-out: still running after 1 s \(after")
    daemon.wait_for(r"beat +succeeded", 2)
    assert daemon.stop() == 0
    none = "0000000000000000"
    assert status_of(daemon.log) == {"NoNewPrivs": "1", "CapEff": none, "CapBnd": none}
    assert (volume / "jobs" / "history.db").exists()
