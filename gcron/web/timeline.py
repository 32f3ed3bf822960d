"""The coming day and the past one as pictures: hours across, jobs down. Pure but for the schedules that it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from markupsafe import Markup, escape

from gcron.escaping import escape_line
from gcron.frozen import frozen
from gcron.schedule import EverySchedule, Shift, Zone, core_of, shifts
from gcron.schedule.clock import local_timezone
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record
from gcron.web.quiet import quietest_minutes
from gcron.web.words import OUTCOMES, quoted, seconds_of, span
from gcron.wording import plural

__all__ = ["Day", "coming_day", "past_day"]

DAY = 86400
SLOT = 900
"""Seconds of one column."""
_SLOTS = DAY // SLOT
_MOST_ROWS = 100
# Of one job: an `@every 1s` has 86,400 fires a day, which look like any other full row.
_MOST_FIRES = 1440
# More fires a day than this are often.
_OFTEN = 48
# Runs of the past that have a link of their own: those that failed come first. The page stays below 100 KB.
_MOST_LINKS = 150
# Of bars in the past, by their look; those of failures are higher.
_HEIGHTS = {"ok": 8, "run": 8, "skip": 3}
# Of all jobs together: enough for 300 jobs that fire each five minutes, and counted within a second.
_MOST_COUNTED = 100_000
_LEFT, _COLUMN, _ROW, _TOP, _FOOT = 170, 9, 20, 24, 64
_WIDTH = _LEFT + _COLUMN * _SLOTS
_LONGEST_NAME = 24
# Its width: at the end of the picture it would be cut.
_NAME_OF_HOUR = 36


@frozen
class Day:
    """A picture, and what to say below it."""

    picture: Markup
    notes: tuple[str, ...]


def coming_day(base: str, jobs: Sequence[Job], paused: frozenset[str], now: float) -> Day:
    """What is due in the next 24 hours, and how many fires each quarter of an hour has."""
    begin = int(now) // SLOT * SLOT
    minutes = [0] * (DAY // 60)
    rows: list[tuple[str, list[int]]] = []
    counted = 0
    for job, fires in _due([job for job in jobs if job.policy.enabled and job.name not in paused], int(now)):
        counts = [0] * _SLOTS
        for fire in fires:
            if fire < begin + DAY:
                counts[(fire - begin) // SLOT] += 1
            minutes[(fire - begin) // 60 % len(minutes)] += 1
        rows.append((job.name, counts))
        counted += len(fires)
    notes = _notes(rows, minutes, begin)
    if counted > _MOST_COUNTED:
        notes.append(f"not all jobs that fire often are counted: they have more than {_MOST_COUNTED:,} fires")
    marks = [_dots(counts, index) for index, (_, counts) in enumerate(rows[:_MOST_ROWS])]
    picture = _picture(base, [name for name, _ in rows[:_MOST_ROWS]], marks, begin, now)
    return Day(Markup(f"{_density(rows)}{picture}") if rows else Markup(""), tuple(notes))


def _due(jobs: Sequence[Job], now: int) -> Iterator[tuple[Job, list[int]]]:
    """Each job with its fires; those that fire often come last, and only while not too many were counted."""
    often = []
    counted = 0
    for job in jobs:
        fires = list(islice(_fires(job, now, now + DAY), _OFTEN + 1))
        if len(fires) > _OFTEN:
            often.append(job)
        elif fires:
            counted += len(fires)
            yield job, fires
    for job in often:
        if counted > _MOST_COUNTED:
            return
        fires = list(_fires(job, now, now + DAY))
        counted += len(fires)
        yield job, fires


def _fires(job: Job, after: int, last: int) -> Iterator[int]:
    core = core_of(job.schedule)
    if isinstance(core, EverySchedule) and core.period < DAY // _MOST_FIRES:
        yield from range(after + 60, last, 60)  # it fires more often than a minute: one is shown in each
        return
    fire = job.schedule.next_after(after)
    for _ in range(_MOST_FIRES):
        if fire is None or fire > last:
            return
        yield fire
        fire = job.schedule.next_after(fire)


def _dots(counts: Sequence[int], row: int) -> str:
    """A mark for each quarter of an hour with a fire, the larger the more there are."""
    y = _TOP + row * _ROW + _ROW / 2
    lines: dict[int, str] = {}
    ends: dict[int, int] = {}
    for slot, count in enumerate(counts):
        if count:
            size, x = min(4, count.bit_length()), _LEFT + slot * _COLUMN + 1
            move = f"m{x - ends[size]} 0" if size in ends else f"M{x} {y:g}"
            lines[size] = lines.get(size, "") + f"{move}h{_COLUMN - 2}"
            ends[size] = x + _COLUMN - 2
    return "".join(f"<path class='due n{size}' d='{line}'/>" for size, line in lines.items())


def _density(rows: Sequence[tuple[str, list[int]]]) -> Markup:
    """How many fires all jobs together have in each quarter of an hour."""
    sums = [sum(column) for column in zip(*(counts for _, counts in rows), strict=True)] or [0] * _SLOTS
    most = max(sums) or 1
    bars = "".join(
        f"<rect x='{_LEFT + slot * _COLUMN + 1}' y='{_FOOT - count / most * (_FOOT - 8):.1f}' width='{_COLUMN - 2}' "
        f"height='{count / most * (_FOOT - 8):.1f}' class='{'peak' if count == most else 'sum'}'/>"
        for slot, count in enumerate(sums)
        if count
    )
    return Markup(
        f"<svg class=day viewBox='0 0 {_WIDTH} {_FOOT + 2}' role=img aria-label='All jobs: at most {most} fires in a "
        f"quarter of an hour'><text x=0 y='{_FOOT - 4}'>all jobs</text><path class=grid d='M{_LEFT} {_FOOT}"
        f"H{_WIDTH}'/>{bars}</svg>"
    )


def _notes(rows: Sequence[tuple[str, list[int]]], minutes: Sequence[int], begin: int) -> list[str]:
    if not rows:
        return []
    most = max(minutes)
    first = _clock(begin + minutes.index(most) * 60)
    notes = [f"{plural(sum(minutes), 'fire')} of {plural(len(rows), 'job')}"]
    if most > 1:
        notes.append(f"most in one minute: {most}, first at {first}")
    quiet = (_clock(begin + time.place * 60) for time in quietest_minutes(minutes, begin // 60))
    notes.append("quietest minutes for one more job: " + ", ".join(quiet))
    if len(rows) > _MOST_ROWS:
        notes.append(f"{len(rows) - _MOST_ROWS} more jobs are only in the sum")
    return notes


# -- the past -----------------------------------------------------------------------------------------------------


def past_day(base: str, runs: Sequence[Record], now: float) -> Day:
    """What ran in the last 24 hours, as long as it ran. `runs`: of the history, newest first."""
    end = -(-int(now) // SLOT) * SLOT
    begin = end - DAY
    names = list(dict.fromkeys(run["job"] for run in runs))[:_MOST_ROWS]
    places = {name: row for row, name in enumerate(names)}
    shown = sorted((run for run in runs if run["job"] in places), key=_is_calm)
    marks = [_bar(base, run, places[run["job"]], begin, end, now) for run in shown[:_MOST_LINKS]]
    marks += _lines(shown[_MOST_LINKS:], places, begin, end, now)
    bad = sum(_look_of(run)[0] == "bad" for run in runs)
    under_way = sum(not run["outcome"] for run in runs)
    notes = [f"{plural(len(runs), 'run')}, {bad} failed, {under_way} under way"]
    picture = _picture(base, names, marks, begin, now) if names else Markup("")
    return Day(picture, tuple(notes) if runs else ())


def _bar(base: str, run: Record, row: int, begin: int, end: int, now: float) -> str:
    began, ended = _times_of(run, now)
    look, word = _look_of(run)
    x, width = _place_of(began, ended, begin, end)
    height = _HEIGHTS.get(look, 14)
    y = _TOP + row * _ROW + (_ROW - height) / 2
    title = escape(escape_line(f"{run['job']}: {word}, {_clock(began)}, {span(max(0.0, ended - began))}"))
    return (
        f"<a href='{base}/runs/{escape(run['run_id'])}' aria-label='{title}'><title>{title}</title>"
        f"<rect class='{look}' x='{x:.1f}' y='{y:g}' width='{width:.1f}' height='{height}' rx=1 /></a>"
    )


def _lines(runs: Sequence[Record], places: Mapping[str, int], begin: int, end: int, now: float) -> list[str]:
    """The bars of many runs, without links: a path for all of a job that ended alike is short in the page."""
    lines: dict[tuple[int, str], str] = {}
    for run in runs:
        row, look = places[run["job"]], _look_of(run)[0]
        x, width = _place_of(*_times_of(run, now), begin, end)
        move = f"M{x:.1f} {_TOP + row * _ROW + _ROW // 2}h{width:.1f}"
        lines[row, look] = lines.get((row, look), "") + move
    return [
        f"<path class='{look}' stroke-width={_HEIGHTS.get(look, 14)} d='{line}'/>" for (_, look), line in lines.items()
    ]


def _look_of(run: Record) -> tuple[str, str]:
    return OUTCOMES.get(run["outcome"], ("bad", run["outcome"])) if run["outcome"] else ("run", "under way")


def _is_calm(run: Record) -> bool:
    """Whether nobody wants to look at this run first."""
    return _look_of(run)[0] in ("ok", "skip")


def _times_of(run: Record, now: float) -> tuple[float, float]:
    began = seconds_of(run["started"] or run["created"])
    return began, seconds_of(run["ended"]) if run["ended"] else (began if run["outcome"] else now)


def _place_of(began: float, ended: float, begin: int, end: int) -> tuple[float, float]:
    """Where the bar of a run begins, and how wide it is."""
    scale = _COLUMN / SLOT
    x = _LEFT + max(0.0, began - begin) * scale
    return x, max(2.5, (min(ended, end) - max(began, begin)) * scale)


# -- both ---------------------------------------------------------------------------------------------------------


def _picture(base: str, names: Sequence[str], marks: Sequence[str], begin: int, now: float) -> Markup:
    height = _TOP + _ROW * len(names) + 8
    labels = "".join(
        f"<a href='{base}/jobs/{quoted(name)}'><text x=0 y='{_TOP + row * _ROW + 14}'>{escape(_short(name))}</text></a>"
        for row, name in enumerate(names)
    )
    hours = "".join(_hour(begin + second, second, height) for second in range(0, DAY, SLOT))
    x_now = _LEFT + (now - begin) / SLOT * _COLUMN
    line = f"<path class=now d='M{x_now:.1f} {_TOP - 4}V{height}'/>"
    changes = "".join(_change(shift, begin, height) for shift in shifts(Zone(local_timezone()), begin, begin + DAY))
    return Markup(
        f"<svg class=day viewBox='0 0 {_WIDTH} {height}' role=group aria-label='{len(names)} jobs, 24 hours'>"
        f"{hours}{changes}{labels}{''.join(marks)}{line}</svg>"
    )


def _hour(instant: int, second: int, height: int) -> str:
    """A line at each full hour of the local clock, and each third one has a name."""
    moment = datetime.fromtimestamp(instant)
    if moment.minute:
        return ""
    x = _LEFT + second / SLOT * _COLUMN
    name = (
        f"<text class=hour x='{x + 3:g}' y=14>{moment:%H}:00</text>"
        if moment.hour % 3 == 0 and x <= _WIDTH - _NAME_OF_HOUR
        else ""
    )
    return f"<path class=grid d='M{x:g} {_TOP - 4}V{height}'/>{name}"


def _change(shift: Shift, begin: int, height: int) -> str:
    x = _LEFT + (shift.instant - begin) / SLOT * _COLUMN
    hours = (shift.after - shift.before) / 3600
    text = f"clock change: {hours:+g} h"
    return (
        f"<path class=change d='M{x:.1f} {_TOP - 4}V{height}'><title>{text}</title></path>"
        f"<text class=change x='{x + 3:.1f}' y='{height - 2}'>{text}</text>"
    )


def _clock(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant):%H:%M}"


def _short(name: str) -> str:
    text = escape_line(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
