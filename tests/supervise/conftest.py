"""Fixtures that run one command as an attempt and record its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.greenlet import sleep, spawn
from gcron.policy import Policy
from gcron.schedule.clock import SystemClock
from gcron.supervise import cgroup as cgroup_module
from gcron.supervise.attempt import Attempt
from gcron.supervise.cgroup import remove_cgroups, use_cgroups
from gcron.supervise.command import Command, Identity
from gcron.supervise.events import JobEvent, JobOutput, Notice, ProcessStarted, RawOutput
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.timing import TIMING, Timing
from tests.waiting import PATIENCE, until

STOP = Reason(ReasonCode.STOP_REQUESTED, "the test stops it")
"""Why tests end an attempt."""


class Listening:
    """Records the events of an attempt."""

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
def make(listening: Listening, run_id: str) -> Callable[..., Attempt]:
    """Make an attempt for a command, with options of its job."""

    def make(command: Command | str, timing: Timing = TIMING, **options: Any) -> Attempt:
        command = Command(command) if isinstance(command, str) else command
        sweep = options.pop("sweep", False)
        policy, identity = Policy.from_options(options), Identity("test", run_id)
        return Attempt(command, policy, identity, listening, SystemClock(), timing, sweep)

    return make


@pytest.fixture
def perform(make: Callable[..., Attempt]) -> Callable[..., RunResult]:
    """Run a command to its end."""

    def perform(command: Command | str, timing: Timing = TIMING, **options: Any) -> RunResult:
        result: RunResult = spawn(make(command, timing, **options).perform).get(timeout=PATIENCE)
        return result

    return perform


@pytest.fixture
def stop(make: Callable[..., Attempt], listening: Listening) -> Callable[..., RunResult]:
    """Run a command, stop it when it has printed a line or when `when` holds, and return the result."""

    def stop(
        command: Command | str, when: Callable[[], object] = lambda: listening.out, now: bool = False, **options: Any
    ) -> RunResult:
        attempt = make(command, **options)
        running = spawn(attempt.perform)
        until(lambda: listening.pid and when(), "the job to be ready for its stop")
        attempt.stop(Outcome.KILLED, STOP, now)
        result: RunResult = running.get(timeout=PATIENCE)
        return result

    return stop


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use control groups during the test; return their directory."""
    monkeypatch.setattr(cgroup_module, "_parent", None)
    if not use_cgroups():
        pytest.skip("no control groups can be made here")
    parent = cgroup_module._parent
    assert parent is not None
    yield parent
    for _ in range(200):  # dead processes stay in a group for a moment
        remove_cgroups()
        if not parent.exists():  # or another gcron has removed it
            break
        monkeypatch.setattr(cgroup_module, "_parent", parent)
        sleep(0.02)
    assert not parent.exists()
