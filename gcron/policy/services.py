"""Which options mean something to a job, and which services and jobs it may wait for or run after.

The same for the entries of crontabs and for jobs made in Python.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from gcron.frozen import replace
from gcron.policy.options import options_of
from gcron.policy.policy import Policy
from gcron.policy.values import LABEL
from gcron.schedule import AfterJobsSchedule, Schedule, Unscheduled
from gcron.spelling import nearest

__all__ = [
    "Subject",
    "describe_kind",
    "find_chain_mistakes",
    "find_mistakes",
    "find_unshareable",
    "find_useless",
    "is_chained",
    "is_service",
    "is_shared",
    "label_of",
    "runs_at_start",
    "without_useless",
]

_OF_SERVICES = options_of("services")
_OF_SCHEDULES = options_of("scheduled jobs")
_OF_CLOCKS = (*_OF_SERVICES, "catchup")
"""What means nothing to a job that runs after others."""
_DEFAULTS = Policy()
# To look for the nearest of more names takes too long.
_MOST_COMPARED = 1000


class Subject(Protocol):
    """A crontab's entry or a job."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def schedule(self) -> Schedule:
        """When it fires."""

    @property
    def policy(self) -> Policy:
        """How it is run."""


S = TypeVar("S", bound=Subject)


def is_service(subject: Subject) -> bool:
    """Whether it is an `@service`: kept running, at no time of the clock."""
    schedule = subject.schedule
    return type(schedule) is Unscheduled and schedule.kind == "service"


def runs_at_start(subject: Subject) -> bool:
    """Whether it is a `@reboot`: it runs once, when gcron starts."""
    schedule = subject.schedule
    return type(schedule) is Unscheduled and schedule.kind == "reboot"


def is_chained(subject: Subject) -> bool:
    """Whether it is an `@after`: it runs after other jobs."""
    return type(subject.schedule) is AfterJobsSchedule


def is_shared(subject: Subject) -> bool:
    """Whether one of several nodes runs it, each fire anew: `run-on`."""
    run_on = subject.policy.run_on
    if run_on is None:
        return not is_service(subject) and not runs_at_start(subject)
    return run_on != "every"


def label_of(subject: Subject) -> str:
    """The label that a node must have to run it; empty when each node may."""
    run_on = subject.policy.run_on
    return run_on.removeprefix(LABEL) if run_on is not None and run_on.startswith(LABEL) else ""


def find_unshareable(subject: Subject) -> str:
    """Return what of it several nodes cannot share, as a phrase; empty when it can be shared, or is not to be."""
    policy = subject.policy
    if not is_shared(subject):
        return ""
    if is_chained(subject):
        return "@after"
    if subject.schedule.follows_end:
        return "a schedule by the end of the last run"
    if policy.overlap in ("queue", "replace"):
        return f"overlap={policy.overlap}"
    if policy.catchup == "all":
        return "catchup=all"
    if is_service(subject) and policy.orphans == "leave":
        return "orphans=leave"  # the next gcron would start a second copy beside the one that it leaves alone
    return "group=" if policy.group is not None else ""


def describe_kind(subject: Subject) -> str:
    """Return what it is, for messages about options that mean nothing to it."""
    if is_chained(subject):
        return "a job with @after"
    return "a service" if is_service(subject) else "a job that is no service"


def find_useless(subject: Subject) -> list[str]:
    """Return the options, named as in directives, that mean nothing to it but are not at their defaults."""
    names = _useless_to(subject)
    return [name.replace("_", "-") for name in names if getattr(subject.policy, name) != getattr(_DEFAULTS, name)]


def without_useless(subject: Subject) -> Policy:
    """Return its policy, with the options that `find_useless` finds at their defaults."""
    return replace(subject.policy, **{name: getattr(_DEFAULTS, name) for name in _useless_to(subject)})


def find_mistakes(subjects: Sequence[S]) -> Iterator[tuple[S, str, str]]:
    """Yield each subject that waits for what never comes: (subject, what is wrong, what would be right)."""
    services = {subject.name: subject for subject in subjects if is_service(subject)}
    for subject in services.values():
        if subject.policy.ready_line is not None and subject.policy.output != "lines":
            message = f"ready-line= never sees a line with output={subject.policy.output}"
            yield subject, message, "say output=lines, or ask with ready-when="
    awaitable = {subject.name: subject for subject in subjects if is_service(subject) or runs_at_start(subject)}
    yield from _find_wrong_names(subjects, awaitable)
    yield from _find_circle(awaitable)


def _find_wrong_names(subjects: Sequence[S], awaitable: Mapping[str, S]) -> Iterator[tuple[S, str, str]]:
    dependent = [subject for subject in subjects if subject.policy.after]
    names = {subject.name for subject in subjects} if dependent else set()
    for subject in dependent:
        for name in subject.policy.after:
            if name not in names:
                yield subject, f"after= names {name!r}, which does not exist", nearest(name, awaitable)
            elif name not in awaitable:
                message = f"after= names {name!r}, which is neither a service nor a @reboot job"
                yield subject, message, "only those can be waited for"


def _find_circle(awaitable: Mapping[str, S]) -> Iterator[tuple[S, str, str]]:
    if not any(subject.policy.after for subject in awaitable.values()):
        return
    from graphlib import CycleError, TopologicalSorter  # only where services wait

    try:
        TopologicalSorter({name: subject.policy.after for name, subject in awaitable.items()}).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        kinds = "services" if all(is_service(awaitable[name]) for name in circle) else "services and jobs"
        message = f"{kinds} wait for one another: {' after '.join(circle)}"
        yield awaitable[circle[0]], message, "leave one of these after= out"


def _useless_to(subject: Subject) -> tuple[str, ...]:
    if is_chained(subject):
        return _OF_CLOCKS
    return _OF_SCHEDULES if is_service(subject) else _OF_SERVICES


# -- jobs that run after others -------------------------------------------------------------------------------------


def find_chain_mistakes(subjects: Sequence[S], gone: Collection[str] = ()) -> Iterator[tuple[S, str, str, str]]:
    """Yield each `@after` with a wrong name: (subject, the name, what is wrong, what would be right).

    `gone`: names of jobs that ran once, and are over.
    """
    chained = {subject.name: subject for subject in subjects if is_chained(subject)}
    if not chained:
        return
    others = {subject.name: subject for subject in subjects}
    for subject in chained.values():
        for name in _upstream(subject):
            if name == subject.name:
                yield subject, name, "@after names the job itself", "name the jobs that must succeed before it"
            elif name in others and is_service(others[name]):
                message = f"@after names {name!r}, which is a service: it is kept running, and does not succeed"
                yield subject, name, message, f"after={name} waits until a service is ready"
            elif name not in others and name not in gone:
                known = others.keys() - {subject.name}
                hint = nearest(name, known) if 0 < len(known) <= _MOST_COMPARED else "gcron list shows the names"
                yield subject, name, f"@after names {name!r}, which does not exist", hint
    if circle := _circle_of(chained):
        message = f"jobs run after one another in a circle: {' after '.join(circle)}"
        yield chained[circle[0]], circle[1], message, "leave one of these @after out"


def _upstream(subject: Subject) -> tuple[str, ...]:
    schedule = subject.schedule
    return schedule.jobs if isinstance(schedule, AfterJobsSchedule) else ()


def _circle_of(chained: Mapping[str, Subject]) -> list[str]:
    """Return names that lead from a job back to itself; none when there is no circle."""
    from graphlib import CycleError, TopologicalSorter  # only where jobs run after others

    graph = {name: [each for each in _upstream(subject) if each != name] for name, subject in chained.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][::-1]
        return circle
    return []
