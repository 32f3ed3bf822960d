"""What several tests of faults use: a job each second, and a file system that can stop to answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.shifted_clock import library_of_clocks  # noqa: F401
from tests.waiting import until

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


class Beats:
    """A job each second that writes a line to a file of its own, and one to the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.crontab = f"# gcron: name=beat\n@every 1s echo alive | tee -a {path}\n"

    def wait_for_more(self, more: int = 3) -> None:
        before = self.count
        until(lambda: self.count >= before + more, f"{more} more beats")

    @property
    def count(self) -> int:
        return self._path.read_text().count("\n") if self._path.exists() else 0


@pytest.fixture
def beats(tmp_path: Path) -> Beats:
    return Beats(tmp_path / "beats")


def run_on(mounted: Mounted, gcron_run: Run, crontab: str, *options: str, **popen: Any) -> Any:
    """Start gcron with its log in the file of the mounted file system. That of the fixture stays empty."""
    with (mounted.where / "crontab").open("ab") as file:
        return gcron_run(crontab, *options, stdout=file, stderr=file, **popen)


def log_of(mounted: Mounted) -> str:
    return (mounted.where / "crontab").read_text()


def writer_of(daemon: Any, after: psutil.Process | None = None) -> psutil.Process:
    """The process that writes the log, when it has its name. `after`: the one that it has replaced."""

    def find() -> psutil.Process | None:
        for child in psutil.Process(daemon.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if child.name() == "gcron-log" and child != after:
                    return child
        return None

    writer = until(find, "a process that writes the log")
    assert writer is not None
    return writer
