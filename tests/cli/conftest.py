"""The command line as a user runs it: a process, its two outputs and its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

Gcron = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gcron(tmp_path: Path) -> Gcron:
    """Run `gcron ARGUMENTS` in an empty directory."""

    def gcron(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GCRON_", "TZ"))}
        return subprocess.run(
            [sys.executable, "-m", "gcron", *map(os.fspath, arguments)],
            cwd=tmp_path,
            env={**inherited, "TZ": "UTC", **variables},
            capture_output=True,
            timeout=PATIENCE,
            text=True,
            errors="surrogateescape",
        )

    return gcron


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(text: str | bytes, name: str = "crontab") -> str:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return name

    return write


@pytest.fixture
def terminal(tmp_path: Path) -> Callable[..., bytes]:
    """Run `gcron ARGUMENTS` on a terminal; return what it prints."""

    def run(*arguments: str, **variables: str) -> bytes:
        import pty

        main, side = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
        process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, "-m", "gcron", *arguments],
            cwd=tmp_path,
            env={**environment, "TERM": "xterm-256color", "TZ": "UTC", **variables},
            stdin=side,
            stdout=side,
            stderr=side,
        )
        os.close(side)
        data, asked = b"", False
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        while True:
            try:
                block = os.read(main, 4096)
            except OSError:  # EIO: all processes have closed the terminal
                break
            if not block:
                break
            data += block
            if b"enough" in data and not asked:
                asked = True
                process.terminate()
        killer.cancel()
        os.close(main)
        process.wait(PATIENCE)
        return data

    return run
