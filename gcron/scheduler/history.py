"""What a store remembers, as plain data: runs and their output, summaries of jobs, and what a start has to know.

Times are seconds of UTC. This module must not know where a store keeps things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, isfinite, log
from typing import NamedTuple

from gcron.frozen import frozen
from gcron.supervise import outcome
from gcron.supervise.outcome import Outcome

__all__ = [
    "RECENT",
    "UNDER_WAY",
    "Chain",
    "Fire",
    "JobMemory",
    "JobSummary",
    "OpenRun",
    "OutputPart",
    "OutputSpan",
    "Pause",
    "Recall",
    "RunPage",
    "RunQuery",
    "StoreFacts",
    "StoredRun",
    "Upstream",
    "letter_of",
    "page_of",
    "read_cursor",
    "sign_of_duration",
    "write_cursor",
]

UNDER_WAY = ""
"""The outcome of a run that has none yet."""
RECENT = 30
"""So many outcomes of a job are in its summary."""
_LETTERS = {
    str(Outcome.SUCCEEDED): "s",
    str(Outcome.FAILED): "f",
    str(Outcome.TIMED_OUT): "t",
    str(Outcome.KILLED): "k",
    str(Outcome.START_FAILED): "n",
    str(Outcome.SKIPPED): "-",
    str(Outcome.MISSED): "m",
    str(Outcome.UNKNOWN_EXIT): "u",
    str(Outcome.STOPPED): "o",
    str(Outcome.LOST): "l",
}
_OUTCOMES = {letter: outcome for outcome, letter in _LETTERS.items()}


def letter_of(outcome: str) -> str:
    """The letter that stands for an outcome in `JobSummary.letters`."""
    return _LETTERS.get(outcome, "?")


# A character for each step of a quarter, from a millisecond to nine days: as cheap to keep as a letter.
_SHORTEST, _STEP, _NO_DURATION, _STEPS = 0.001, 1.25, "!", 93
_DURATIONS = {chr(ord(_NO_DURATION) + 1 + level): float(f"{_SHORTEST * _STEP**level:.3g}") for level in range(_STEPS)}


def sign_of_duration(seconds: float | None) -> str:
    """The character that stands for a duration in `JobSummary.signs`, right within an eighth."""
    if seconds is None:
        return _NO_DURATION
    level = round(log(max(seconds, _SHORTEST) / _SHORTEST, _STEP))
    return chr(ord(_NO_DURATION) + 1 + min(level, _STEPS - 1))


@frozen
class StoredRun:
    """A run, a fire that was skipped, or a span of fires that were missed (one record for the whole span)."""

    run_id: str
    job: str
    """Name of the job."""
    created: float
    """When its fire was claimed, triggered, skipped or missed. History is in this order."""
    outcome: str = UNDER_WAY
    """One of `Outcome`, or `UNDER_WAY`."""
    reason_code: str = ""
    reason: str = ""
    """Why it ended like that. While a retry waits: why the last attempt failed."""
    fire_at: int | None = None
    """When it was due; None when it was triggered by hand. Of a span: the first fire."""
    last_fire_at: int | None = None
    """Of a span: the last fire."""
    fires: int = 1
    """Of a span: how many fires, at least."""
    started: float | None = None
    """When its first process existed, or its function was called; None if neither was. While a function is under way,
    it is None."""
    finished: float | None = None
    attempts: int = 0
    exit_code: int | None = None
    duration: float | None = None
    """Seconds that its last attempt took."""
    cpu_seconds: float | None = None
    """Of all attempts."""
    max_rss_bytes: int | None = None
    """Of the attempt that needed the most memory."""
    output_size: int = 0
    """Bytes that it wrote, also those that are not kept."""
    left_behind: str = ""
    """Names of processes that could not be ended."""
    pid: int | None = None
    """Leader of the last attempt."""
    pid_since: float | None = None
    """Seconds on the clock that counts from the machine's boot, just after the leader was started."""
    who: str = ""
    """Who triggered it, if known; empty for a fire."""
    why: str = ""
    """The reason that was given for the trigger."""
    node: str = ""
    """The node that ran it; empty where there is one machine only."""
    fence: int = 0
    """The number of its claim, where several nodes share the work: a later claim has a larger one. 0: none."""


@frozen
class RunQuery:
    """Which runs to return, newest first."""

    job: str | None = None
    """Name of the job; None: all jobs."""
    outcomes: frozenset[str] = frozenset()
    """Only these; none given: all, also runs under way."""
    since: float | None = None
    """Created at this time or later."""
    until: float | None = None
    """Created before this time."""
    limit: int = 50
    cursor: str = ""
    """`RunPage.cursor` of the page before; empty for the first page."""
    failed: bool = False
    """Only runs that failed (`is_failure`): none that was stopped on request."""

    def fits(self, run: StoredRun) -> bool:
        """Whether a run is one of those, on whatever page."""
        return (
            (self.job is None or run.job == self.job)
            and (not self.outcomes or run.outcome in self.outcomes)
            and (not self.failed or outcome.is_failure(run.outcome, run.reason_code))
            and (self.since is None or run.created >= self.since)
            and (self.until is None or run.created < self.until)
        )


@frozen
class RunPage:
    """Some runs, newest first."""

    runs: tuple[StoredRun, ...]
    cursor: str = ""
    """Asks for the next page; empty when there is none."""


class OutputSpan(NamedTuple):
    """Bytes that came together, and when."""

    size: int
    time: float | None = None
    """Seconds of UTC; None: not known."""
    stream: str = ""
    """`stdout` or `stderr`; empty: not known."""


@frozen
class OutputPart:
    """A part of what a run wrote. Positions are bytes from the beginning of its output."""

    start: int
    """Position of the first byte of `data`. After the position that was asked for: what lies between is not kept."""
    data: bytes
    """Empty at the end of what there is so far."""
    size: int
    """Bytes written so far, also those that are not kept."""
    spans: tuple[OutputSpan, ...] = ()
    """When the bytes of `data` came, and from which stream. Together they are as long as `data`; none: not known."""


@frozen
class Pause:
    """That a job is paused."""

    since: float
    until: float | None = None
    """None: until somebody resumes it."""
    who: str = ""
    why: str = ""


@frozen
class JobSummary:
    """How a job did so far, also in runs that are not kept any more."""

    job: str
    letters: str = ""
    """Its last outcomes, see `recent`: for many jobs at once a text is quicker."""
    signs: str = ""
    """How long these took, see `recent_durations`. Fewer, where an earlier version of gcron wrote the first ones."""
    runs: int = 0
    """Ended runs, skipped fires and spans of missed ones."""
    succeeded: int = 0
    failed: int = 0
    """Runs that failed (`is_failure`)."""
    skipped: int = 0
    missed: int = 0
    """Fires."""
    last_finished: float | None = None
    """When it had its last outcome."""
    last_success: float | None = None
    last_duration: float | None = None
    """Seconds that its last run took."""
    mean_duration: float | None = None
    """Seconds, of its successes."""
    longest: float | None = None
    """Seconds, of its successes."""
    last_fire: int | None = None
    """Its latest fire that was handled: started, skipped or missed."""
    pause: Pause | None = None

    @property
    def recent(self) -> tuple[str, ...]:
        """Its last 30 outcomes, oldest first."""
        return tuple(_OUTCOMES.get(letter, "") for letter in self.letters)

    @property
    def recent_durations(self) -> tuple[float | None, ...]:
        """Seconds that each of these took, right within an eighth; None: no process ran, or it is not known."""
        signs = self.signs.rjust(len(self.letters), _NO_DURATION)
        return tuple(_DURATIONS.get(sign) for sign in signs)

    @property
    def success_rate(self) -> float | None:
        """Successes among the runs that succeeded or failed, from 0 to 1; None if there was no such run."""
        decided = self.succeeded + self.failed
        return self.succeeded / decided if decided else None


@frozen
class Upstream:
    """How a job has done that another job runs after, since the last start of that other job."""

    job: str
    """Name of the job."""
    outcome: str = ""
    """Of its last run, or of a fire without one; empty: none has ended since. A success that counts stays."""
    ended: float | None = None
    reason: str = ""
    counts: bool = True
    """False for a run that had begun before that last start."""

    @property
    def has_succeeded(self) -> bool:
        """Whether it has succeeded, in a run that began after that last start."""
        return self.counts and self.outcome == Outcome.SUCCEEDED


@frozen
class Chain:
    """What is remembered for a job that runs after others."""

    start: int = 0
    """The number of its last start. A later start has a larger number, which is claimed before the process starts."""
    upstream: tuple[Upstream, ...] = ()
    """Those of which something is known since that start. When all have succeeded, the next start is still to come."""


@frozen
class Fire:
    """A job and an instant at which it is due. Whatever must happen once is keyed by it."""

    job: str
    """Name of the job."""
    fire_at: int
    """Seconds of UTC."""
    waits: bool = False
    """It is to be made up, and others come before it. It is claimed once more when it starts."""
    has_run: bool = False
    """Its run is on record already: of a job that runs after others, only the number of the start is claimed."""
    fence: int = 0
    """In `Recall`: the number of its claim, where nodes share it."""


@frozen
class JobMemory:
    """What the store knew of a job before this start."""

    handled_until: float
    """Fires after this time have not been handled. It is the time of the last handled fire, or that from which on the
    job is as it is: its first start, a change of its schedule, the end of a pause."""
    is_new: bool = False
    """It was unknown, or its schedule was another one: `handled_until` is now."""
    last_success: float | None = None
    pause: Pause | None = None
    since: float = 0.0
    """From then on the job is as it is."""
    chain: Chain | None = None


@frozen
class OpenRun:
    """A run of an earlier gcron that has no outcome. Its processes may still live."""

    run: StoredRun
    boot_id: str
    """Of the machine's boot in which it began. Other boots have other processes; empty where there is no such id."""


@frozen
class Recall:
    """What a start has to know of the time before."""

    jobs: Mapping[str, JobMemory]
    """Each job that was asked about."""
    open_runs: tuple[OpenRun, ...] = ()
    """Oldest first."""
    boot_id: str = ""
    """Of the machine's present boot; empty where there is no such id."""
    same_boot: bool = False
    """An earlier gcron has begun in this boot."""
    killed: frozenset[int] = frozenset()
    """Process ids of the gcrons of this boot that did not come to their end in order."""
    claims: tuple[Fire, ...] = ()
    """Fires that were claimed, and have neither a run nor were missed, by job and time."""
    after_kill: bool = False
    """The gcron before did not come to its end in order, even if it is not on record."""
    held: frozenset[int] = frozenset()
    """Numbers of the claims that this node has, also those of the gcron before; of stores that nodes share."""


@frozen
class StoreFacts:
    """Where a store keeps things, and how much there is."""

    where: str
    """For people: a directory, or `memory`."""
    jobs: int
    runs: int
    oldest: float | None
    """When the oldest run that is kept was created."""
    size: int
    """Bytes of history, without the output of runs."""
    output_size: int
    """Bytes of output that is kept."""


# -- the places where pages of history end ----------------------------------------------------------------------


def write_cursor(created: float, number: int) -> str:
    """The place after a run: when it was created, and its number among those of the same time."""
    return f"{created!r}:{number}"


def read_cursor(cursor: str) -> tuple[float, int]:
    """The place that a cursor stands for. Raises ValueError."""
    created, _, number = cursor.partition(":")
    try:
        place = float(created), int(number)
    except ValueError:
        place = float("nan"), 0
    if not isfinite(place[0]) or abs(place[1]) >= 1 << 63:
        raise ValueError(f"{cursor[:80]!r} is no cursor: take that of the page before")
    return place


def page_of(runs: Iterable[tuple[int, StoredRun]], query: RunQuery) -> RunPage:
    """A page of those runs, each with its number. Raises ValueError for a wrong cursor."""
    before = read_cursor(query.cursor) if query.cursor else (inf, 0)
    found = [(run.created, number, run) for number, run in runs if (run.created, number) < before and query.fits(run)]
    found.sort(key=lambda each: each[:2], reverse=True)
    page = found[: query.limit]
    cursor = write_cursor(*page[-1][:2]) if page and len(found) > len(page) else ""
    return RunPage(tuple(run for _, _, run in page), cursor)
