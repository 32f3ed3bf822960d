"""Running one command as an attempt, with everything that its listener is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import spawn
from gcron.policy import Policy
from gcron.supervise import attempt as attempt_module
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command
from gcron.supervise.outcome import RunResult


class Listening:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.pid = 0
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self.late: list[bytes] = []
        self.continued: list[bytes] = []
        self.raw = {"stdout": b"", "stderr": b""}
        self.notices: list[str] = []

    def process_started(self, pid: int) -> None:
        self.pid = pid

    def output(self, stream: str, lines: list[bytes], late: bool, continued: bool = False) -> None:
        (self.late if late else self.out if stream == "stdout" else self.err).extend(lines)
        if continued:
            self.continued.append(lines[-1])

    def raw_output(self, stream: str, data: bytes, late: bool) -> None:
        self.raw[stream] += data

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def listening() -> Listening:
    return Listening()


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return f"test-{id(request):x}"


@pytest.fixture
def make(listening: Listening, run_id: str) -> Callable[..., Attempt]:
    def make(command: Command | str, **options: Any) -> Attempt:
        command = Command(command) if isinstance(command, str) else command
        return Attempt(command, Policy.from_options(options), run_id, {"GCRON_JOB": "test"}, listening)

    return make


@pytest.fixture
def perform(make: Callable[..., Attempt]) -> Callable[..., RunResult]:
    """Run a command to its end; fails the test when that takes longer than 20 s."""

    def perform(command: Command | str, **options: Any) -> RunResult:
        result: RunResult = spawn(make(command, **options).perform).get(timeout=20)
        return result

    return perform


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter waits for pipes that somebody keeps open."""
    monkeypatch.setattr(attempt_module, "_PIPES_AFTER_EXIT", 0.1)
    monkeypatch.setattr(attempt_module, "_LATE_OUTPUT", 0.6)
