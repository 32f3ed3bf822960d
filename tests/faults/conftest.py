"""What several tests of faults use: a job each second, and a file system that can stop to answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shifted_clock import library_of_clocks  # noqa: F401

Run = Callable[..., Any]
Mount = Callable[..., "Mounted"]
BEAT = "# gcron: name=beat\n@every 1s echo alive\n"
"""A job each second, beside whatever goes wrong."""
WITHOUT_GROUPS = (
    *("unshare", "--mount", "sh", "-c"),
    'for type in cgroup2 cgroup; do umount -a -l -t $type; done; exec "$@"',
    "sh",
)
"""Starts a program without the mounts of control groups."""
# The second execve(2) closes the file, and so waits for a file system that does not answer.
STUCK_IN_EXEC = (
    "import os; os.open('{}/crontab', os.O_RDONLY); print('up', flush=True); os.execv('/bin/sleep', ['sleep', '60'])"
)
CAN_MOUNT = pytest.mark.skipif(
    not (os.path.exists("/dev/fuse") and os.geteuid() == 0), reason="needs root and /dev/fuse to mount a file system"
)


class Mounted:
    """A FUSE file system with one file, `crontab`. Its server can stop to answer."""

    def __init__(self, where: Path, text: str) -> None:
        self.where = where
        script = Path(__file__).with_name("fuse_server.py")
        self.server = subprocess.Popen([sys.executable, script, where, text], stdout=subprocess.PIPE)
        assert self.server.stdout is not None
        if self.server.stdout.readline() != b"ready\n":
            self.unmount()
            pytest.skip("this kernel lets nobody mount a FUSE file system here")

    def hang(self) -> None:
        """Let the server answer nothing from now on."""
        self.server.send_signal(signal.SIGSTOP)

    def unmount(self) -> None:
        """End the server. Processes that wait for it get an error."""
        assert self.server.stdout is not None
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        subprocess.run(["umount", "-l", self.where], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def mount(tmp_path: Path, gcron_run: Run) -> Iterator[Mount]:
    """Mount file systems. They end before the processes of the test: a search for these would hang, too."""
    mounted: list[Mounted] = []

    def mount(text: str) -> Mounted:
        where = tmp_path / f"mount{len(mounted)}"
        where.mkdir()
        mounted.append(Mounted(where, text))
        return mounted[-1]

    yield mount
    for each in mounted:
        each.unmount()


@pytest.fixture
def freezable(tmp_path: Path) -> Iterator[Path]:
    """A file system for this test, which is unfrozen after it."""
    image, where = tmp_path / "image", tmp_path / "mounted"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, where], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be made and mounted here: {error}")
    yield where
    subprocess.run(["fsfreeze", "-u", where], check=False, capture_output=True)
    for _ in range(100):  # until the processes that wrote to it have ended
        if subprocess.run(["umount", where], check=False, capture_output=True).returncode == 0:
            break
        time.sleep(0.05)
