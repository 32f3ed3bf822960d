"""Which events become messages."""

from __future__ import annotations

import pytest

from gcron.crontab import parse
from gcron.notify.rules import Rules
from gcron.scheduler import (
    FiresMissed,
    Job,
    JobEvent,
    Outcome,
    Reason,
    ReasonCode,
    RunFinished,
    RunLate,
    RunResult,
    RunStarted,
    ServiceState,
    ServiceStateChanged,
    SuccessOverdue,
)
from gcron.scheduler.job import jobs_of

HOUR = 3600.0
(JOB,) = jobs_of(parse("# gcron: name=backup\n@daily backup\n"))
(SERVICE,) = jobs_of(parse("# gcron: name=cache\n@service cache\n"))
REASON = Reason(ReasonCode.EXIT_STATUS, "exit status 1")
ALL = ("start", "failure", "recovery", "success", "output", "overdue", "missed", "skipped", "late", "service")


def ended(time: float, outcome: Outcome, reason: Reason = REASON, size: int = 0) -> RunFinished:
    return RunFinished(time, "backup", "r1", 0, RunResult(outcome, reason, output_size=size))


def told(rules: Rules, event: JobEvent, job: Job = JOB) -> list[str]:
    """Return the kinds of messages that an event may become now."""
    occasion = rules.read(event, job)
    return [] if occasion is None else [kind for kind in occasion.kinds if kind not in occasion.repeated]


@pytest.mark.parametrize(
    ("outcome", "code", "kinds"),
    [
        (Outcome.FAILED, ReasonCode.EXIT_STATUS, ["failure"]),
        (Outcome.TIMED_OUT, ReasonCode.TIMEOUT, ["failure", "output"]),
        (Outcome.START_FAILED, ReasonCode.CANNOT_START, ["failure", "output"]),
        (Outcome.UNKNOWN_EXIT, ReasonCode.EXIT_STATUS_LOST, ["failure", "output"]),
        (Outcome.LOST, ReasonCode.GCRON_ENDED, ["failure", "output"]),
        (Outcome.KILLED, ReasonCode.OUT_OF_MEMORY, ["failure", "output"]),
        (Outcome.FAILED, ReasonCode.OUT_OF_MEMORY, ["failure"]),
        (Outcome.KILLED, ReasonCode.INTERNAL_ERROR, ["failure", "output"]),
        (Outcome.KILLED, ReasonCode.SHUTDOWN, []),
        (Outcome.KILLED, ReasonCode.STOP_REQUESTED, []),
        (Outcome.KILLED, ReasonCode.REPLACED, []),
        (Outcome.SUCCEEDED, ReasonCode.NONE, ["success"]),
        (Outcome.SKIPPED, ReasonCode.OVERLAP, ["skipped"]),
        (Outcome.MISSED, ReasonCode.NOT_IN_TIME, ["missed"]),
    ],
)
def test_each_outcome_is_told_as_what_it_is(outcome: Outcome, code: ReasonCode, kinds: list[str]) -> None:
    assert told(Rules(), ended(0, outcome, Reason(code, "why"))) == kinds


def test_a_run_that_printed_something_is_also_told_as_output() -> None:
    assert told(Rules(), ended(0, Outcome.SUCCEEDED, size=3)) == ["success", "output"]
    assert told(Rules(), ended(0, Outcome.FAILED, size=3)) == ["failure", "output"]


def test_the_first_success_after_a_failure_is_a_recovery() -> None:
    rules = Rules()
    rules.read(ended(0, Outcome.FAILED), JOB)

    assert told(rules, ended(60, Outcome.SUCCEEDED)) == ["recovery", "success"]
    assert told(rules, ended(120, Outcome.SUCCEEDED)) == ["success"]


def test_a_job_that_fails_again_and_again_is_told_at_once_and_every_six_hours_with_the_count() -> None:
    rules = Rules()
    times = [minute * 60.0 for minute in range(13 * 60)]
    occasions = [rules.read(ended(time, Outcome.FAILED), JOB) for time in times]

    heard = [
        (occasion.event.time / HOUR, occasion.count)
        for occasion in occasions
        if occasion is not None and occasion.kind_for(("failure",))
    ]
    assert heard == [(0, 1), (6, 361), (12, 721)]
    assert all(occasion is not None and occasion.kind_for(("failure",), with_repeated=True) for occasion in occasions)


def test_notify_again_is_an_option_of_the_job() -> None:
    (job,) = jobs_of(parse("# gcron: name=backup notify-again=0\n@daily backup\n"))
    rules = Rules()

    assert [told(rules, ended(time, Outcome.FAILED), job) for time in (0, 1)] == [["failure"], ["failure"]]


def test_a_failure_after_a_success_is_told_at_once() -> None:
    rules = Rules()
    for time, outcome in ((0, Outcome.FAILED), (60, Outcome.SUCCEEDED)):
        rules.read(ended(time, outcome), JOB)

    assert told(rules, ended(120, Outcome.FAILED)) == ["failure"]


def test_overdue_ends_with_a_recovery() -> None:
    rules = Rules()
    occasion = rules.read(SuccessOverdue(0, "backup", 25 * HOUR, None), JOB)

    assert occasion is not None
    assert (occasion.kinds, occasion.is_urgent) == (("overdue",), True)
    assert told(rules, ended(60, Outcome.SUCCEEDED)) == ["recovery", "success"]


def test_missed_late_and_skipped_are_repeated_as_failures_are() -> None:
    rules = Rules()
    missed = FiresMissed(0, "backup", 0, 0, REASON, 1)
    late = RunLate(0, "backup", "r1", 0, 9.0, REASON)

    assert [told(rules, event) for event in (missed, late, missed, late)] == [["missed"], ["late"], [], []]


def test_a_start_is_only_for_pings() -> None:
    assert told(Rules(), RunStarted(0, "backup", "r1", 0)) == ["start"]


# -- services ---------------------------------------------------------------------------------------------------------


def state(time: float, state: ServiceState) -> ServiceStateChanged:
    return ServiceStateChanged(time, "cache", state, REASON, 0, 1.0)


def test_a_service_that_is_given_up_is_urgent() -> None:
    occasion = Rules().read(state(0, ServiceState.FAILED), SERVICE)

    assert occasion is not None
    assert (occasion.kinds, occasion.is_urgent) == (("service",), True)


def test_a_service_flaps_from_its_third_early_death_in_ten_minutes_on() -> None:
    rules = Rules()
    deaths = [told(rules, state(time, ServiceState.BACKING_OFF), SERVICE) for time in (0, 100, 200, 300)]

    assert deaths == [[], [], ["service"], []]


def test_rare_deaths_are_no_flapping() -> None:
    rules = Rules()

    assert [told(rules, state(hour * HOUR, ServiceState.BACKING_OFF), SERVICE) for hour in range(5)] == [[]] * 5


def test_a_service_is_well_again_when_it_has_been_ready_for_a_minute() -> None:
    rules = Rules()
    rules.read(state(0, ServiceState.FAILED), SERVICE)
    rules.read(state(100, ServiceState.READY), SERVICE)
    assert rules.next_look == 160
    rules.read(state(130, ServiceState.BACKING_OFF), SERVICE)
    assert rules.next_look is None
    rules.read(state(140, ServiceState.READY), SERVICE)

    assert rules.look(199) == []
    assert [occasion.kinds for occasion in rules.look(200)] == [("service",)]
    assert rules.look(300) == []


def test_the_lives_of_a_service_are_no_failures() -> None:
    event = RunFinished(0, "cache", "r1", None, RunResult(Outcome.FAILED, REASON))

    assert told(Rules(), event, SERVICE) == []
