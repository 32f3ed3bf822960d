"""`/api/v1/calendar.ics`: what is due in the coming two weeks, for calendar programs (RFC 5545).

Times are in UTC: a time of a zone could not name the second of two equal hours, when clocks go back. Calendars show
them in the zone of their reader. No command is in it, only what its crontab says about a job.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from itertools import islice
from typing import Any

from gcron.control.instance import Instance
from gcron.control.records import schedule_words, zone_name
from gcron.escaping import escape_line
from gcron.runtime.hub import get_hub
from gcron.runtime.lock import Semaphore
from gcron.scheduler.job import Job
from gcron.version import __version__
from gcron.web.answers import Answer, Refusal
from gcron.web.words import quoted
from gcron.wording import plural

__all__ = ["DAYS", "MISSING", "MOST_EVENTS", "OFTEN", "PLACE", "Calendar"]

PLACE = "/api/v1/calendar.ics"
MISSING = "a calendar needs icalendar: pip install 'gcron[calendar]'"
DAYS = 14
OFTEN = 8
"""A job that fires more often than this within a day is left out: it would hide all others."""
MOST_EVENTS = 1000
_DAY = 86400
# Seconds for which an answer counts, and how many times as long as it took to make.
_FRESH, _SHARE = 60.0, 10
# A client chooses by which name and port it calls. Who has the key could let calendars be made without end.
_MOST_ORIGINS = 4
# A program that shows the calendar should ask again after this time.
_REFRESH = timedelta(hours=1)


class Calendar:
    """The calendar of one gcron, whose pages are below the prefix `base`. For the thread of the scheduler."""

    def __init__(self, gcron: Instance, base: str) -> None:
        self._gcron = gcron
        self._base = base
        self._texts: dict[str, bytes] = {}
        """By origin."""
        self._fresh_until = float("-inf")
        self._making = Semaphore()

    def answer(self, origin: str, run: Callable[..., Any]) -> Answer:
        """The calendar, a minute old at most. `origin` is for links to pages; `run` calls a function in a thread.

        Raises Refusal when the library is missing.
        """
        monotonic = get_hub().monotonic
        with self._making:
            if monotonic() >= self._fresh_until:
                self._texts.clear()
            if origin not in self._texts and len(self._texts) >= _MOST_ORIGINS:
                origin = ""
            if origin not in self._texts:
                began = monotonic()
                self._texts[origin] = self._make(origin, run)
                if len(self._texts) == 1:
                    self._fresh_until = monotonic() + max(_FRESH, (monotonic() - began) * _SHARE)
            text = self._texts[origin]
        return Answer(
            text,
            "text/calendar; charset=utf-8",
            headers=(("Content-Disposition", 'inline; filename="gcron.ics"'),),
        )

    def _make(self, origin: str, run: Callable[..., Any]) -> bytes:
        scheduler = self._gcron.scheduler
        jobs = [job for job in scheduler.jobs if job.policy.enabled and not scheduler.is_paused(job.name)]
        try:
            text: bytes = run(
                _write, self._gcron.name, jobs, f"{origin}{self._base}" if origin else "", self._gcron.clock.now()
            )
        except ModuleNotFoundError:
            raise Refusal(HTTPStatus.NOT_IMPLEMENTED, "no-calendar", MISSING) from None
        return text


def _write(instance: str, jobs: Sequence[Job], pages: str, now: float) -> bytes:
    """The text. `pages`: where these begin; empty: it has no links to them."""
    import icalendar  # 0.2 s

    begin, end = int(now), int(now) + DAYS * _DAY
    shown = [job for job in jobs if not _is_frequent(job, begin, end)]
    fires = heapq.merge(*(_fires(job, number, begin, end) for number, job in enumerate(shown)))
    events = list(islice(fires, MOST_EVENTS))
    calendar = icalendar.Calendar()
    calendar.add("prodid", f"-//gcron//gcron {__version__}//EN")
    calendar.add("version", "2.0")
    name = f"gcron {escape_line(instance)}".strip()
    about = _about(len(jobs) - len(shown), events[-1][0] if len(events) == MOST_EVENTS else None)
    for key, text in (("name", name), ("x-wr-calname", name), ("description", about), ("x-wr-caldesc", about)):
        calendar.add(key, text)
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", icalendar.vDuration(_REFRESH))
    made = datetime.fromtimestamp(begin, UTC)
    for fire, number in events:
        job = shown[number]
        event = icalendar.Event()
        event.add("uid", _uid(instance, job.name, fire))
        event.add("dtstamp", made)
        event.add("dtstart", datetime.fromtimestamp(fire, UTC))
        event.add("summary", escape_line(job.name))
        event.add("description", _describe(job, fire))
        if pages:
            event.add("url", f"{pages}/jobs/{quoted(job.name)}")
        event.add("transp", "TRANSPARENT")  # nobody is busy because a job runs
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def _is_frequent(job: Job, begin: int, end: int) -> bool:
    """Whether it fires more than `OFTEN` times in the day that its next fire begins."""
    first = next(_fires(job, 0, begin, end), None)
    if first is None:
        return False
    following = islice(_fires(job, 0, first[0], first[0] + _DAY - 1), OFTEN)
    return sum(1 for _ in following) == OFTEN


def _fires(job: Job, number: int, after: int, last: int) -> Iterator[tuple[int, int]]:
    """Its fires, each with this number."""
    fire = job.schedule.next_after(after)
    while fire is not None and fire <= last:
        yield fire, number
        fire = job.schedule.next_after(fire)


def _uid(instance: str, job: str, fire: int) -> str:
    """The same each time for a fire of a job, so that a calendar knows it again."""
    text = f"{instance}\0{job}\0{fire}".encode("utf-8", "surrogateescape")
    return f"{sha256(text).hexdigest()[:32]}@gcron"


def _describe(job: Job, fire: int) -> str:
    local = datetime.fromtimestamp(fire, job.schedule.zone.tz)
    words = schedule_words(job.schedule, job.name) or job.schedule.text
    lines = [job.policy.description, words, f"{local.isoformat(' ')} {zone_name(job.schedule)}", job.source]
    return "\n".join(escape_line(line) for line in lines if line)


def _about(left_out: int, last: int | None) -> str:
    """What is not in the calendar."""
    text = f"The jobs that are due in the next {DAYS} days"
    if left_out:
        text += f", without {plural(left_out, 'job')} due more than {OFTEN} times a day"
    if last is not None:
        text += f"; only {MOST_EVENTS:,} times are shown, until {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC"
    return text
