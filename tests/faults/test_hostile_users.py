"""Two users without privileges, beside gcron as root: one can neither stop it nor reach the jobs of the other."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.supervise.timing import Timing
from tests.faults.conftest import BEAT, CAN_MOUNT, WITHOUT_GROUPS, Mount
from tests.waiting import SLACK, until

Run = Callable[..., Any]
OWNER, NEIGHBOUR = 200_000 + os.getpid(), 300_000 + os.getpid()  # users of this test run alone
# As STUCK_IN_EXEC, for a user who may not enter the directories of the test.
STUCK = (
    "import os; os.open('{0}/crontab', os.O_RDONLY); os.setuid({1}); print('up', flush=True);"
    " os.execv('/bin/sleep', ['sleep', '60'])"
)
# Not the one of a virtual environment, which may be in a directory of root.
PYTHON = shutil.which("python3", path=os.defpath)
PIDS = Path("/sys/fs/cgroup/pids")
KEYCTL = {"x86_64": 250, "aarch64": 219}.get(platform.machine())

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two other users"),
    pytest.mark.realtime,
]


def start_stuck(where: Path, uid: int) -> subprocess.Popen[bytes]:
    """Start a process that is then stuck in execve(2). Of what /proc shows about it, only its status does not hang."""
    stuck = subprocess.Popen([sys.executable, "-c", STUCK.format(where, uid)], stdout=subprocess.PIPE)
    assert stuck.stdout is not None
    assert stuck.stdout.readline() == b"up\n"
    stuck.stdout.close()
    status = Path(f"/proc/{stuck.pid}/status")
    until(lambda: "State:\tS" in status.read_text(), "a process in execve")
    return stuck


# -- processes that hang ----------------------------------------------------------------------------------------


@pytest.fixture
def pids_limit(tmp_path: Path) -> Iterator[Path]:
    """A control group that limits processes and threads, of root, too."""
    group = PIDS / f"gcron-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no group for the controller of pids can be made here: {error}")
    yield group
    for pid in (group / "cgroup.procs").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: not (group / "cgroup.procs").read_text(), "the end of all processes in the group")
    group.rmdir()


@CAN_MOUNT
@pytest.mark.parametrize("uid", [NEIGHBOUR, OWNER], ids=["of-another-user", "of-the-same-user"])
def test_stuck_processes_and_no_free_thread_do_not_stop_gcron(
    mount: Mount, pids_limit: Path, gcron_run: Run, uid: int
) -> None:
    """Each process of a user that was stuck in execve(2) cost gcron a thread at a look for some job's processes.

    When the system allowed no further thread, the look was made in the loop's thread, and hung there: no job ran any
    more, and TERM was ignored. Any user could do that. Now it costs two threads of the same user's jobs at most.
    """
    hung = mount("hang")
    stuck = [start_stuck(hung.where, uid) for _ in range(8)]
    daemon = gcron_run(
        f"# gcron: name=slow user={OWNER} timeout=5s kill-after=0.3s\n@reboot sleep 60\n" + BEAT,
        before=("sh", "-c", f'echo $$ > {pids_limit}/cgroup.procs; exec "$@"', "sh"),
        timing=Timing(unkillable_after=2),
    )
    daemon.wait_for("beat +succeeded", 3)
    threads = psutil.Process(daemon.process.pid).num_threads()
    (pids_limit / "pids.max").write_text(f"{int((pids_limit / 'pids.current').read_text()) + 4}")
    (seconds,) = daemon.wait_for(r"slow +timed-out: still running after 5 s.* \(after (\d+\.\d+) s\)")
    assert float(seconds) < 5 + 0.3 + 2 + 2 + SLACK
    beats = len(daemon.wait_for("beat +succeeded"))
    daemon.wait_for("beat +succeeded", beats + 3)
    assert psutil.Process(daemon.process.pid).num_threads() <= threads + (0 if uid == NEIGHBOUR else 3)
    assert daemon.stop() == 0
    hung.unmount()
    for each in stuck:
        each.kill()
        each.wait()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


# -- what a neighbour can copy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(), WITHOUT_GROUPS], ids=["", "without-control-groups"])
def test_processes_of_a_neighbour_with_the_variables_of_a_run_are_not_its_members(
    gcron_run: Run, shared: Path, before: tuple[str, ...]
) -> None:
    """A run was found by its id, which is public: it stands in names of control groups.

    A neighbour started processes with that id. The job's time-out then took 15 s, the stop said that they could not be
    killed and had the status 4, and they stayed stopped. Here the neighbour even has all variables of the run.
    """
    variables = shared / "variables"
    variables.touch()
    os.chown(variables, OWNER, OWNER)
    daemon = gcron_run(
        f"# gcron: name=slow user={OWNER} timeout=3s kill-after=0.5s cwd=/\n"
        f"@reboot env -0 > {variables}; trap '' TERM; while :; do sleep 0.1; done\n",
        before=before,
    )
    until(lambda: b"GCRON_MARK" in variables.read_bytes(), "the variables")
    stolen = dict(pair.split(b"=", 1) for pair in variables.read_bytes().split(b"\0") if pair)
    neighbours = [
        subprocess.Popen(["/bin/sleep", "60"], user=NEIGHBOUR, env=stolen, start_new_session=True) for _ in range(20)
    ]
    try:
        (seconds,) = daemon.wait_for(r"slow +timed-out: still running after 3 s \(after (\d+\.\d+) s\)")
        assert float(seconds) < 3 + 0.5 + SLACK
        assert daemon.stop() == 0
        assert "could not be killed" not in daemon.log
        assert {psutil.Process(each.pid).status() for each in neighbours} == {psutil.STATUS_SLEEPING}
    finally:
        for each in neighbours:
            each.kill()
            each.wait()


@pytest.mark.skipif(
    KEYCTL is None or PYTHON is None, reason="no Python for all users, or keyctl(2) has an unknown number"
)
def test_each_job_of_a_user_has_a_session_keyring_of_its_own(gcron_run: Run) -> None:
    """Jobs inherited the session keyring of root, and the keys in it."""
    ask = f"import ctypes; print('id', ctypes.CDLL(None).syscall({KEYCTL}, 0, -3, 0))"  # KEYCTL_GET_KEYRING_ID
    own = ctypes.CDLL(None).syscall(KEYCTL, 0, -3, 1)
    if own == -1:
        pytest.skip("this kernel or sandbox has no keyrings")
    entry = f'user={OWNER} cwd=/\n@reboot {PYTHON} -c "{ask}"\n'
    daemon = gcron_run(f"# gcron: name=one {entry}# gcron: name=two {entry}")
    (first,), (second,) = daemon.wait_for(r"one +\| id (-?\d+)"), daemon.wait_for(r"two +\| id (-?\d+)")
    assert len({first, second, str(own), "-1"}) == 4
    assert daemon.stop() == 0
