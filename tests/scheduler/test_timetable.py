"""The timetable against a sorted model."""

from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gcron.policy import Policy
from gcron.schedule import resolve
from gcron.scheduler import Job
from gcron.scheduler.timetable import Timetable
from gcron.supervise.command import command_of

NAMES = ("a", "b", "c")


def job(name: str, action: Any = "true") -> Job:
    return Job(name, resolve("@manual", None, name), command_of(str(action), Policy()), Policy())


STEPS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 20))),
    st.tuples(st.just("redefine"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("pop"), st.integers(0, 20), st.none()),
)


@given(st.lists(STEPS, max_size=60), st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20)))
def test_the_timetable_agrees_with_a_sorted_list(steps: list[tuple[str, Any, Any]], full: dict[str, int]) -> None:
    table = Timetable()
    table.fill((job(name), due) for name, due in full.items())
    model = {name: (due, number) for number, (name, due) in enumerate(full.items())}
    for number, (step, first, second) in enumerate(steps, len(model)):
        if step == "set":
            table.set(job(first), second)
            model.pop(first, None)
            if second is not None:
                model[first] = (second, number)
        elif step == "redefine":
            table.redefine(job(first, second))
        else:
            earliest = min(model.items(), key=lambda item: item[1], default=None)
            expected = None
            if earliest is not None and earliest[1][0] <= first:
                expected = (earliest[0], earliest[1][0])
                del model[earliest[0]]
            popped = table.pop_due(first)
            assert (popped and (popped[0].name, popped[1])) == expected
        assert table.first() == min((due for due, _ in model.values()), default=None)
        for name in NAMES:
            assert table.get(name) == (model[name][0] if name in model else None)


def test_a_job_that_is_set_repeatedly_fires_once() -> None:
    table = Timetable()
    for _ in range(3):
        table.set(job("a"), 5)
    assert table.pop_due(5) == (job("a"), 5)
    assert table.pop_due(5) is None


def test_a_redefined_job_keeps_its_instant_and_its_place() -> None:
    table = Timetable()
    table.set(job("first"), 5)
    table.set(job("second"), 5)
    table.redefine(job("first", "anew"))
    assert table.pop_due(5) == (job("first", "anew"), 5)
    assert table.pop_due(5) == (job("second"), 5)
    table.redefine(job("first"))
    assert table.first() is None


def test_setting_a_job_repeatedly_takes_no_memory() -> None:
    """Each reload that changed a job left an entry until its old due instant: 200 bytes for each job and reload, which
    stayed for a year when the job is due once a year."""
    table = Timetable()
    tracemalloc.start()
    try:
        for due in range(10_000, 20_000):
            table.set(job("yearly"), due)
            table.set(job(f"daily-{due}"), due)
            table.set(job(f"daily-{due}"), None)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert table.pop_due(20_000) == (job("yearly"), 19_999)
    assert table.pop_due(20_000) is None
