"""The checker finds each violation in made-up histories, and excuses what has an excuse."""

from __future__ import annotations

from dataclasses import replace

from tests.cluster.checker import Report, check
from tests.cluster.history import Fault, History, JobRules, Mark, Row, read_marks

TICK = JobRules("tick", 1, is_alone=False)
ALONE = JobRules("alone", 2)
AGAIN = JobRules("again", 2, is_retried=True)
SERVICE = JobRules("service")


def begin(job: str, fire_at: int, node: str = "a", fence: int | None = None, at: float | None = None) -> Mark:
    return Mark(job, "begin", fire_at, node, fire_at if fence is None else fence, fire_at + 0.1 if at is None else at)


def row(mark: Mark, outcome: str = "succeeded") -> Row:
    return Row(mark.job, mark.fire_at, mark.fire_at, mark.node, mark.fence, outcome)


def history(*marks: Mark, faults: tuple[Fault, ...] = (), rows: tuple[Row, ...] = ()) -> History:
    """Ten seconds of it. Each begin has its row, unless `rows` has one with its fence."""
    given = {each.fence for each in rows}
    own = tuple(row(mark) for mark in marks if mark.verb == "begin" and mark.fence not in given)
    return History(100.0, 110.0, marks, faults, own + rows)


def ticks(*without: int) -> tuple[Mark, ...]:
    return tuple(begin("tick", second, "ab"[second % 2]) for second in range(100, 110) if second not in without)


def kinds(report: Report) -> list[str]:
    return [kind for kind, _ in report.violations]


def test_a_good_history_has_no_violation() -> None:
    report = check(history(*ticks()), [TICK])
    assert (report.violations, report.fires, report.started) == ([], 10, 10)


def test_a_fire_that_started_twice_is_found() -> None:
    report = check(history(*ticks(), begin("tick", 104, "b", fence=200)), [TICK])
    assert kinds(report) == ["double"]
    assert "tick 104 started on a (fence 104) at 104.10, b (fence 200)" in str(report)


def test_a_fire_that_started_twice_with_one_fence_is_found() -> None:
    assert kinds(check(history(*ticks(), begin("tick", 104, "a")), [TICK])) == ["double"]


def test_a_fire_may_start_again_with_a_larger_fence_if_its_job_allows_that() -> None:
    lost, retried = begin("again", 102, "a"), begin("again", 102, "b", fence=150, at=119.0)
    others = [begin("again", second) for second in (100, 104, 106, 108)]
    rows = (row(lost, "lost"),)
    report = check(history(others[0], lost, *others[1:], retried, rows=rows), [AGAIN])
    assert (report.violations, report.again) == ([], 1)
    report = check(history(others[0], retried, *others[1:], lost, rows=rows), [AGAIN])
    assert "double" in kinds(report)


def test_a_fire_that_nobody_knows_is_found() -> None:
    report = check(history(*ticks(105)), [TICK])
    assert report.violations == [("missed", "tick 105: no record of it")]


def test_a_fire_that_was_reported_as_missed_is_found() -> None:
    spans = (Row("tick", 104, 106, "a", 300, "missed"),)
    assert kinds(check(history(*ticks(105), rows=spans), [TICK])) == ["missed"]


def test_fires_may_be_missed_while_the_database_is_away() -> None:
    outage = (Fault("outage", "", 103.5, 106.0),)
    report = check(history(*ticks(104, 105), faults=outage), [TICK])
    assert (report.violations, report.missed) == ([], 2)
    assert kinds(check(history(*ticks(101, 104), faults=outage), [TICK])) == ["missed"]


def test_a_run_may_be_lost_with_its_node_only() -> None:
    lost = (row(begin("tick", 105, "b"), "lost"),)
    for fault, seen in (
        (Fault("kill", "b", 105.0, 107.0), []),
        (Fault("freeze", "b", 101.0, 108.0), []),
        (Fault("kill", "a", 105.0, 107.0), ["missed"]),
        (Fault("skew", "b", 105.0, 107.0), ["missed"]),
        (Fault("stop", "b", 105.0, 107.0), ["missed"]),
        (Fault("kill", "b", 50.0, 55.0), ["missed"]),
    ):
        report = check(history(*ticks(105), faults=(fault,), rows=lost), [TICK])
        assert (kinds(report), report.lost) == (seen, not seen), fault


def test_a_skipped_fire_needs_a_job_that_must_not_overlap() -> None:
    starts = [begin("alone", second) for second in (100, 102, 106, 108)]
    skipped = (row(begin("alone", 104, "b"), "skipped"),)
    report = check(history(*starts, rows=skipped), [ALONE])
    assert (report.violations, report.skipped) == ([], 1)
    skipped = (row(begin("tick", 104, "b"), "skipped"),)
    assert kinds(check(history(*ticks(104), rows=skipped), [TICK])) == ["missed"]


def service(*faults: Fault, late: float) -> Report:
    """Of a service that began on a, then on b, while that on a still wrote."""
    old, new = begin("service", 0, "a", 1, at=100.0), begin("service", 0, "b", 2, at=105.0)
    return check(history(old, new, replace(old, verb="alive", at=late), faults=faults), [SERVICE])


def test_two_runs_at_once_are_found() -> None:
    assert kinds(service(late=105.5)) == ["overlap"]
    assert kinds(service(Fault("freeze", "a", 85.0, 110.0), late=105.5)) == ["overlap"]
    assert kinds(service(Fault("pause", "b", 85.0, 105.4), late=105.5)) == ["overlap"]


def test_two_runs_at_once_on_one_node_have_no_excuse() -> None:
    old, new = begin("alone", 100, "a", at=106.1), begin("alone", 102, "a", at=106.2)
    pause = (Fault("pause", "a", 99.0, 106.0),)
    others = [begin("alone", second) for second in (104, 106, 108)]
    good = history(old, new, replace(old, verb="end", at=107.0), *others, faults=pause)
    assert kinds(check(good, [ALONE])) == ["overlap"]


def test_what_a_paused_machine_or_a_killed_gcron_left_is_excused_until_it_is_back() -> None:
    assert kinds(service(Fault("pause", "a", 85.0, 106.0), late=106.5)) == []
    assert kinds(service(Fault("kill", "a", 85.0, 106.0), late=106.5)) == []
    assert kinds(service(Fault("pause", "a", 85.0, 106.0), late=112.0)) == ["overlap"]
    # It came back, but its database was away then.
    away = Fault("outage", "", 105.0, 114.0)
    assert kinds(service(Fault("kill", "a", 85.0, 106.0), away, late=112.0)) == []


def test_a_fence_that_falls_is_found() -> None:
    starts = [begin("alone", second) for second in (100, 102, 104, 106, 108)]
    starts[2] = replace(starts[2], fence=101)
    assert "fence" in kinds(check(history(*starts), [ALONE]))
    starts[2] = replace(starts[2], fence=102)
    assert "fence" in kinds(check(history(*starts), [ALONE]))


def test_a_process_that_a_pause_caught_before_its_first_line_may_write_it_late() -> None:
    starts = [begin("alone", second, "b") for second in (102, 104, 106, 108)]
    late = begin("alone", 100, "a", at=105.1)
    marks = sorted([*starts, late], key=lambda mark: mark.at)
    for pause, seen in ((Fault("pause", "a", 100.0, 105.0), False), (Fault("pause", "b", 100.0, 105.0), True)):
        assert ("fence" in kinds(check(history(*marks, faults=(pause,)), [ALONE]))) is seen
    twice = replace(starts[0], at=103.0)
    marks = [starts[0], twice, *starts[1:]]
    pause = Fault("pause", "b", 100.0, 102.9)
    assert "fence" in kinds(check(history(begin("alone", 100), *marks, faults=(pause,)), [ALONE]))


def test_a_service_that_nobody_runs_is_found() -> None:
    first, later = begin("service", 0, "a", 1, at=100.0), begin("service", 0, "b", 2, at=130.0)
    good = replace(history(first, later), end=140.0)
    report = check(good, [SERVICE])
    assert (report.violations, report.longest_gap) == ([], 30.0)
    assert kinds(check(replace(good, marks=(first, replace(later, at=139.5))), [SERVICE])) == ["gap"]
    assert kinds(check(replace(good, end=190.0), [SERVICE])) == ["gap"]


def test_a_line_without_its_row_is_found() -> None:
    good = history(*ticks())
    assert kinds(check(replace(good, rows=good.rows[1:]), [TICK])) == ["disagreement"]
    elsewhere = (replace(good.rows[0], node="c"), *good.rows[1:])
    assert kinds(check(replace(good, rows=elsewhere), [TICK])) == ["disagreement"]


def test_a_row_without_its_line_is_found() -> None:
    ghost = (row(begin("service", 0, "a", 9)),)
    assert kinds(check(history(begin("service", 0, "a", 1), rows=ghost), [SERVICE])) == ["disagreement"]


def test_lines_of_jobs_are_read() -> None:
    assert read_marks(["tick begin 104 a 7 55.25"], 49.0) == (Mark("tick", "begin", 104, "a", 7, 104.25),)
