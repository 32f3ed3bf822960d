"""Keeps the jobs of a scheduler as the files say: reads the files when asked, or when they have changed.

A wrong file changes nothing. Reading happens in a thread, one read at a time: a read that hangs stops nothing. This
module must not know what is in the files: it gets a function that reads them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gcron.daemon.formats.format import Level
from gcron.daemon.sd_notify import Notifier
from gcron.daemon.watching import FileWatch, Snapshot
from gcron.frozen import frozen
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import get_hub
from gcron.runtime.lock import Semaphore
from gcron.schedule.clock import Clock
from gcron.scheduler import Job, Scheduler

__all__ = ["Reloaded", "Reloader", "Report"]

_CHANGED = "files have changed"
# Seconds after which the log names a read that has not ended.
_SLOW = 10.0
# A file that changed while it was read is read again after so many seconds, so many times.
_PAUSE, _TRIES = 0.2, 5
_RESTLESS = "the files are written to all the time, so it may be half of them: they are read again when that ends"
# So many jobs are named of those that were added, changed, removed.
_NAMED = 10


class Report(Protocol):
    """Puts what a reload came to into the log."""

    def __call__(self, text: str, level: Level = "info", **fields: object) -> None:
        """Log `text` for people, line by line; for machines its first line and `fields`."""


@frozen
class Reloaded:
    """What a reload came to: the names of the jobs that are new, different and gone, or what is wrong."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    problem: str = ""
    """All that is wrong, for people; then nothing has changed."""


class _Read:
    """The result of a read in a thread: the jobs, or what is wrong, and the state of the files."""

    def __init__(self, jobs: Sequence[Job], problem: str, snapshot: Snapshot | None = None, left_out: str = "") -> None:
        self.jobs = jobs
        self.problem = problem
        self.left_out = left_out
        self.snapshot = snapshot


class Reloader:
    """Reloads the jobs of `scheduler` by `read`, which returns them or raises with all that is wrong.

    `watch`: reports changes; None: only `ask` makes it read. `seen`: the state of the files before the first read.
    `left_out`: says what of the last read is not used, though the rest is.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        read: Callable[[], Sequence[Job]],
        report: Report,
        clock: Clock,
        watch: FileWatch | None = None,
        seen: Snapshot | None = None,
        notifier: Notifier | None = None,
        left_out: Callable[[], str] = str,
    ) -> None:
        self._scheduler = scheduler
        self._read = read
        self._report = report
        self._clock = clock
        self._watch = watch
        self._seen = seen
        self._notifier = notifier or Notifier()
        self._find_left_out = left_out
        self._left_out = left_out()
        self._one_at_a_time = Semaphore(1)
        self._asked = False
        self._follower: Greenlet | None = None
        self._is_stopped = False
        self.followers: list[Callable[[str], object]] = []
        """Called after each reload that is reported, with what is wrong with the files; empty when they are right."""
        self.problem = ""
        """What is wrong with the files as they are now; empty when their jobs are those that run."""
        self.last_read: float | None = None
        """Seconds of UTC at which they were last read again."""
        self.reading_since: float | None = None
        """Seconds of UTC; None when no read is under way."""

    def start(self) -> None:
        """Follow the changes of the files."""
        if self._watch is not None:
            self._follower = spawn(self._follow, self._watch)

    def stop(self) -> None:
        """Change nothing any more."""
        self._is_stopped = True
        if self._follower is not None:
            self._follower.kill(block=False)

    @property
    def has_died(self) -> bool:
        """True when changes of the files are not followed any more, because of an error."""
        return self._follower is not None and self._follower.ready() and not self._is_stopped

    @property
    def _is_over(self) -> bool:
        return self._is_stopped or self._scheduler.is_stopping

    def ask(self, who: str) -> None:
        """Read the files soon, changed or not; returns at once. The log names `who` asks."""
        if self._asked or self._is_over:
            return  # one read answers both; and a scheduler that stops needs none
        self._asked = True
        spawn(self.reload, who)

    def reload(self, who: str) -> Reloaded | None:
        """Read the files now, changed or not; returns what came of it, or None when gcron is stopping."""
        if self.reading_since is not None:
            self._report(f"{who}: the files are being read already; they will be once more")
        with self._one_at_a_time:
            self._asked = False
            if self._is_over:  # told to stop since it was asked
                return None
            self._notifier.reloading()
            found = self._in_thread(self._read_steadily)
            reloaded = None if found is None else self._apply(who, found, asked=True)
            if not self._is_over:
                self._notifier.ready()
            return reloaded

    def _follow(self, watch: FileWatch) -> None:
        as_before = get_hub().threadpool.spawn(watch.open, self._seen)
        if as_before.get():
            watch.wait()
        while True:
            with self._one_at_a_time:
                if (found := self._in_thread(self._read_if_changed)) is not None:
                    self._apply(_CHANGED, found, asked=False)
            watch.wait()

    def _apply(self, why: str, found: _Read, asked: bool) -> Reloaded | None:
        if self._is_over:
            return None
        self._seen = found.snapshot
        self.last_read = self._clock.now()
        problem_before, self.problem = self.problem, found.problem
        reloaded = Reloaded()
        if not found.problem:
            try:
                reloaded = Reloaded(*self._scheduler.replace(found.jobs))
            except ValueError as error:
                self.problem = str(error)
        if self.problem:
            if asked or self.problem != problem_before:
                text = f"{why}: nothing is changed, for what was read is wrong:\n{self.problem}"
                self._report(text, "error", problem=self.problem)
                self._tell_followers()
            return Reloaded(problem=self.problem)
        added, changed, removed = len(reloaded.added), len(reloaded.changed), len(reloaded.removed)
        if asked or problem_before or added or changed or removed:
            text = f"{why}: read again: {added} added, {changed} changed, {removed} removed"
            if which := _described(reloaded):
                text += f"\n  {which}"
            self._report(text, added=added, changed=changed, removed=removed)
            self._tell_followers()
        if found.left_out and (asked or found.left_out != self._left_out):
            self._report(f"{why}: not all is used:\n{found.left_out}", "warning")
        self._left_out = found.left_out
        return reloaded

    def _tell_followers(self) -> None:
        for follower in self.followers:
            follower(self.problem)

    # -- reading --------------------------------------------------------------------------------------------

    def _in_thread(self, read: Callable[[], _Read | None]) -> _Read | None:
        self.reading_since = self._clock.now()
        try:
            reading = get_hub().threadpool.spawn(read)
            if not reading.wait(_SLOW) and not reading.ready():
                self._report(
                    f"the files are being read for {_SLOW:g} s; until that ends, the jobs stay as they are", "error"
                )
            found: _Read | None = reading.get()
            return found
        except Exception as error:  # for example no thread is free: the next read may succeed
            return _Read((), f"{type(error).__name__}: {error}", self._seen)
        finally:
            self.reading_since = None

    def _read_if_changed(self) -> _Read | None:
        now = self._look()
        if now is not None and now == self._seen and self._seen.settled:
            return None
        return self._read_steadily()

    def _read_steadily(self) -> _Read:
        """Read them, again if they changed meanwhile: half a file is wrong, and an empty one would end all jobs."""
        for _ in range(_TRIES):
            before = self._look()
            found = self._read_once()
            if before == self._look() and not (before is not None and before.fresh):
                found.snapshot = before
                return found
            time.sleep(_PAUSE)
        return _Read((), _RESTLESS, before)

    def _read_once(self) -> _Read:
        try:
            return _Read(self._read(), "", left_out=self._find_left_out())
        except Exception as error:
            return _Read((), str(error) or type(error).__name__)

    def _look(self) -> Snapshot | None:
        return None if self._watch is None else self._watch.look()


def _described(reloaded: Reloaded) -> str:
    """The names of the jobs: `added backup; removed old, older`; empty when there are none."""
    kinds = {"added": reloaded.added, "changed": reloaded.changed, "removed": reloaded.removed}
    return "; ".join(f"{kind} {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
