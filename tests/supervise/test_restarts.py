"""What follows the end of a service's life: only the rule, without processes or time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.policy import Policy
from gcron.supervise.outcome import Outcome, Reason, ReasonCode, RunResult
from gcron.supervise.restarts import SHORTEST_CYCLE, Restarts, ServiceState


def died(lived: float, outcome: Outcome = Outcome.FAILED) -> RunResult:
    return RunResult(outcome, Reason(ReasonCode.EXIT_STATUS, "exit status 1"), duration=lived)


def delays(policy: Policy, lives: list[float]) -> list[float]:
    restarts = Restarts(policy)
    return [restarts.after(died(lived)).delay for lived in lives]


def test_restart_delays_double_up_to_a_limit_and_reset_after_a_long_life() -> None:
    policy = Policy.from_options({"restart_max_delay": 10})

    assert delays(policy, [0.5] * 6 + [1.0] + [0.5] * 2) == [1, 2, 4, 8, 10, 10, 0, 1, 2]


def test_the_thousandth_short_life_has_a_delay() -> None:
    assert delays(Policy(), [0.0] * 2000)[-1] == 60
    assert delays(Policy.from_options({"restart_delay": 1e308}), [0.0] * 100)[-1] == 60


def test_restarts_without_delay_are_still_limited() -> None:
    no_delay = Policy.from_options({"restart_delay": 0})
    never_young = Policy.from_options({"min_uptime": 0})
    for policy in (no_delay, never_young):
        assert delays(policy, [0.0, 0.03, 0.2]) == pytest.approx([SHORTEST_CYCLE, SHORTEST_CYCLE - 0.03, 0])


@pytest.mark.parametrize(
    ("restart", "succeeded", "state"),
    [
        ("always", True, ServiceState.STARTING),
        ("always", False, ServiceState.STARTING),
        ("on-failure", True, ServiceState.STOPPED),
        ("on-failure", False, ServiceState.STARTING),
        ("never", True, ServiceState.STOPPED),
        ("never", False, ServiceState.FAILED),
    ],
)
def test_which_outcomes_are_followed_by_a_restart(restart: str, succeeded: bool, state: ServiceState) -> None:
    outcome = Outcome.SUCCEEDED if succeeded else Outcome.FAILED

    assert Restarts(Policy.from_options({"restart": restart})).after(died(5, outcome)).state is state


def test_a_failed_start_counts_as_a_short_life() -> None:
    restarts = Restarts(Policy.from_options({"restart_limit": 2}))

    first = restarts.after(died(7, Outcome.START_FAILED))
    second = restarts.after(died(7, Outcome.START_FAILED))

    assert (first.state, first.delay) == (ServiceState.BACKING_OFF, 1)
    assert (second.state, second.reason.text) == (
        ServiceState.FAILED,
        "given up after 2 short lives in a row: exit status 1",
    )


@given(
    lives=st.lists(st.floats(0, 20), max_size=40),
    delay=st.floats(0, 50),
    longest=st.floats(0, 100),
    limit=st.integers(0, 6),
    min_uptime=st.floats(0, 15),
)
def test_restarts_follow_the_documented_rule_for_any_lives(
    lives: list[float], delay: float, longest: float, limit: int, min_uptime: float
) -> None:
    """Compare with the rule of docs/services.md: the number of short lives in a row decides."""
    restarts = Restarts(
        Policy.from_options(
            {
                "restart_delay": delay,
                "restart_max_delay": longest,
                "restart_limit": limit,
                "min_uptime": min_uptime,
            }
        )
    )
    for number, lived in enumerate(lives):
        sequel = restarts.after(died(lived))
        short = 0
        while short <= number and lives[number - short] < min_uptime:
            short += 1
        if limit and short == limit:
            assert sequel.state is ServiceState.FAILED
            return
        expected = min(delay * 2 ** (short - 1), longest) if short else 0.0
        assert sequel.delay == pytest.approx(max(expected, SHORTEST_CYCLE - lived, 0))
        assert sequel.state is (ServiceState.BACKING_OFF if sequel.delay > 0 else ServiceState.STARTING)
