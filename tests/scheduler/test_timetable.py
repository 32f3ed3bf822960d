"""The timetable against a sorted model."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from gcron.scheduler.timetable import Timetable

NAMES = ("a", "b", "c")
STEPS = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 20))),
    st.tuples(st.just("pop"), st.integers(0, 20), st.none()),
)


@given(st.lists(STEPS, max_size=60), st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20)))
def test_it_gives_what_a_sorted_list_would(steps: list[tuple[str, object, object]], full: dict[str, int]) -> None:
    table = Timetable()
    table.fill(full.items())
    model = {name: (due, number) for number, (name, due) in enumerate(full.items())}
    for number, (step, first, second) in enumerate(steps, len(model)):
        if step == "set":
            table.set(first, second)  # type: ignore[arg-type]
            model.pop(first, None)  # type: ignore[call-overload]
            if second is not None:
                model[first] = (second, number)  # type: ignore[index, assignment]
        else:
            earliest = min(model.items(), key=lambda item: item[1], default=None)
            expected = None
            if earliest is not None and earliest[1][0] <= first:  # type: ignore[operator]
                expected = (earliest[0], earliest[1][0])
                del model[earliest[0]]
            assert table.pop_due(first) == expected  # type: ignore[arg-type]
        assert table.first() == min((due for due, _ in model.values()), default=None)
        for name in NAMES:
            assert table.get(name) == (model[name][0] if name in model else None)


def test_a_name_that_is_set_again_and_again_fires_once() -> None:
    table = Timetable()
    for _ in range(3):
        table.set("a", 5)
    assert table.pop_due(5) == ("a", 5)
    assert table.pop_due(5) is None


def test_what_is_set_again_and_again_takes_no_memory() -> None:
    """Each reload that changed a job with a far-off due time left an entry behind until that time: 200 bytes for each
    job and reload, for ever with a job that is due once a year."""
    table = Timetable()
    tracemalloc.start()
    try:
        for due in range(10_000, 20_000):
            table.set("yearly", due)
            table.set(f"daily-{due}", due)
            table.set(f"daily-{due}", None)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert table.pop_due(20_000) == ("yearly", 19_999)
    assert table.pop_due(20_000) is None
