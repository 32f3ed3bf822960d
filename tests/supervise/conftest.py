"""Running one command as an attempt, and keeping every event that it emits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import spawn
from gcron.policy import Policy
from gcron.schedule.clock import SystemClock
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity
from gcron.supervise.events import JobEvent, JobOutput, Notice, ProcessStarted, RawOutput
from gcron.supervise.outcome import RunResult
from gcron.supervise.timing import TIMING, Timing


class Listening:
    """Takes the events of an attempt, and keeps what they say."""

    def __init__(self) -> None:
        self.pid = 0
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self.late: list[bytes] = []
        self.continued: list[bytes] = []
        self.raw = {"stdout": b"", "stderr": b""}
        self.notices: list[str] = []

    def __call__(self, event: JobEvent) -> None:
        if isinstance(event, ProcessStarted):
            self.pid = event.pid
        elif isinstance(event, JobOutput):
            self.output(event)
        elif isinstance(event, RawOutput):
            self.raw[event.stream] += event.data
        elif isinstance(event, Notice):
            self.notices.append(event.text)

    def output(self, event: JobOutput) -> None:
        (self.late if event.late else self.out if event.stream == "stdout" else self.err).extend(event.lines)
        if event.continued:
            self.continued.append(event.lines[-1])


@pytest.fixture
def listening() -> Listening:
    return Listening()


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return f"test-{id(request):x}"


@pytest.fixture
def hurried() -> None:
    """Waits for open pipes and for unkillable processes are short."""


@pytest.fixture
def timing(request: pytest.FixtureRequest) -> Timing:
    short = Timing(pipes_after_exit=0.1, late_output=0.6, unkillable_after=0.5)
    return short if "hurried" in request.fixturenames else TIMING


@pytest.fixture
def make(listening: Listening, run_id: str, timing: Timing) -> Callable[..., Attempt]:
    def make(command: Command | str, **options: Any) -> Attempt:
        command = Command(command) if isinstance(command, str) else command
        policy, identity = Policy.from_options(options), Identity("test", run_id)
        return Attempt(command, policy, identity, listening, SystemClock(), timing)

    return make


@pytest.fixture
def perform(make: Callable[..., Attempt]) -> Callable[..., RunResult]:
    """Run a command to its end; fails the test when that takes longer than 20 s."""

    def perform(command: Command | str, **options: Any) -> RunResult:
        result: RunResult = spawn(make(command, **options).perform).get(timeout=20)
        return result

    return perform
