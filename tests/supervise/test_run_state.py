"""The states of a run: which may follow which, and the one function that changes them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule.clock import SystemClock
from gcron.supervise.outcome import NO_REASON, Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.run import Run
from gcron.supervise.run_state import RunState, next_state

ALLOWED = {
    "waiting": {"running", "stopping", "ended"},
    "running": {"retrying", "stopping", "ended"},
    "retrying": {"running", "stopping", "ended"},
    "stopping": {"stopping", "ended"},
    "ended": set(),
}


@pytest.mark.parametrize(("present", "wanted"), list(product(RunState, RunState)))
def test_which_state_may_follow_which(present: RunState, wanted: RunState) -> None:
    if wanted in ALLOWED[present]:
        assert next_state(present, wanted) is wanted
    else:
        with pytest.raises(RuntimeError, match=f"a run that is {present} cannot become {wanted}"):
            next_state(present, wanted)


class Attempt:
    """An attempt that ends at once."""

    def perform(self) -> RunResult:
        return RunResult(Outcome.FAILED, NO_REASON)

    def stop(self, outcome: Outcome, reason: Reason, now: bool = False) -> None: ...

    def give_up_starting(self, why: Reason) -> None: ...

    waits_for_capacity = False


@given(st.lists(st.sampled_from(["attempt", "retry", "stop", "end retries"]), max_size=8))
def test_a_run_can_end_once_from_each_state(steps: list[str]) -> None:
    run = Run("id", "job", None, SystemClock())
    attempts = 0
    for step in steps:
        if step == "stop":
            run.stop()
        elif step == "end retries":
            run.end_retries(Reason(ReasonCode.SHUTDOWN, "gcron stops"))
        elif step == "attempt" and run.state in (RunState.WAITING, RunState.RETRYING):
            run.perform(Attempt())
            attempts += 1
        elif step == "retry" and run.state is RunState.RUNNING:
            run.begin_retry()
    assert run.attempt == attempts
    assert run.has_begun == (attempts > 0) == (run.started_at is not None)
    assert run.is_stopping == ("stop" in steps)
    result = run.end(RunResult(Outcome.FAILED, NO_REASON))
    run.deliver()
    assert (run.state, run.outcome, run.result.get(timeout=1)) == (RunState.ENDED, result, result)
    run.stop()
    assert run.state is RunState.ENDED
    with pytest.raises(RuntimeError):
        run.end(result)
