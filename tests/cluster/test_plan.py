"""Plans of faults: the same for each seed, and never too much for a promise."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.nemesis import BETWEEN, LASTS, OUTAGE, WEIGHTS, plan

SEEDS = st.integers(0, 2**32)


def test_a_plan_has_every_kind_of_fault() -> None:
    assert {step.kind for step in plan(1, 3600, "abc")} == set(WEIGHTS)


@given(SEEDS)
def test_a_seed_always_gives_the_same_plan(seed: int) -> None:
    assert plan(seed, 60, "abc") == plan(seed, 60, "abc")


@given(SEEDS)
def test_one_node_has_no_fault_at_any_moment(seed: int) -> None:
    steps = plan(seed, 600, "abc")
    for step in steps:
        at_once = {each.node for each in steps if each.node and each.at <= step.at <= each.at + each.lasts}
        assert len(at_once) < 3


@given(SEEDS)
def test_faults_come_one_after_the_other_and_last_as_long_as_they_may(seed: int) -> None:
    steps = plan(seed, 600, "abc")
    assert all(before.at + BETWEEN[0] <= after.at for before, after in pairwise(steps))
    for step in steps:
        least, most = LASTS.get(step.kind, (OUTAGE, OUTAGE) if step.kind == "outage" else (0.0, 0.0))
        assert least <= step.lasts <= most
