"""The watchdog: a thread that notices when the scheduler's loop does not turn, and finds what blocks it.

It does not wake an idle loop, nor is it woken by one: while the loop waits for I/O, the watchdog waits for the end of
that. This module must not know who hears of its findings.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType

from gcron.frozen import frozen
from gcron.runtime.hub import get_hub
from gcron.scheduler.events import JobEvent
from gcron.scheduler.observers import OBSERVER_CALL
from gcron.supervise.python_call import JOB_CALL

__all__ = ["Blocker", "Watchdog", "find_blocker", "is_real_time"]

# Looks at the loop within the limit.
_LOOKS = 4


@frozen
class Blocker:
    """What runs in the scheduler's thread and lets nothing else run."""

    job: str
    """Name of the job that it belongs to; empty when there is none."""
    what: str
    """`job report`, `an observer of run-finished`, `the program`."""
    where: str
    """`reports.py:12, in fetch`: the innermost line that is not gcron's."""
    stack: str
    """The whole stack, as in a traceback."""
    remedy: str
    """What to do about it, if that is known."""

    def describe(self, seconds: float) -> str:
        """Return what it has done for `seconds`, where, and the remedy, in a line."""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.what} has blocked all jobs for {seconds:.1f} s at {self.where}{remedy}"


class Watchdog:
    """Watches the loop of the thread that starts it.

    When that has not turned for `limit` seconds, `report(blocker, seconds)` is called in the watchdog's thread. When it
    turns again, `report_end(blocker, seconds)` is called in the hub, and may not park.
    """

    def __init__(
        self,
        limit: float,
        report: Callable[[Blocker, float], object],
        report_end: Callable[[Blocker, float], object],
    ) -> None:
        self._limit = limit
        self._report = report
        self._report_end = report_end
        self._hub = get_hub()
        self._thread_id = threading.get_ident()
        # A lock, which the hub releases at each wake: an Event has a lock and a condition more.
        self._woken = threading.Lock()
        self._woken.acquire()
        self._is_stopped = False

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="gcron-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching. Returns at once."""
        self._is_stopped = True
        self._wake()

    def _watch(self) -> None:
        nap = self._limit / _LOOKS
        turn, since = self._hub.last_turn, time.monotonic()
        while not self._is_stopped:
            if self._hub.is_waiting:
                self._wait_for_wake()
                turn, since = self._hub.last_turn, time.monotonic()
            before = time.monotonic()
            time.sleep(nap)
            now = time.monotonic()
            # When this thread could not run either, the whole process was stopped, or the machine was busy.
            if self._hub.is_waiting or self._hub.last_turn != turn or now - before > nap + self._limit:
                turn, since = self._hub.last_turn, now
            elif now - since >= self._limit:
                self._follow_block(turn, since)
                turn, since = self._hub.last_turn, time.monotonic()

    def _wait_for_wake(self) -> None:
        self._woken.acquire(blocking=False)
        self._hub.call_on_wake(self._wake)
        if self._hub.is_waiting and not self._is_stopped:  # otherwise it woke before it knew of the call
            self._woken.acquire()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # it is released already: by another wake, or by `stop`
            self._woken.release()

    def _follow_block(self, turn: float, since: float) -> None:
        blocker = find_blocker(self._thread_id)
        if blocker is None:
            return
        self._report(blocker, time.monotonic() - since)
        while self._hub.last_turn == turn and not self._hub.is_waiting and not self._is_stopped:
            time.sleep(self._limit / _LOOKS)
        self._hub.call_soon_threadsafe(self._report_end, blocker, time.monotonic() - since)


def is_real_time() -> bool:
    """Whether the calling thread's loop takes its time from the machine, and not from a test."""
    return get_hub().monotonic is time.monotonic


def find_blocker(thread_id: int) -> Blocker | None:
    """Return what the thread of a loop does just now; None if there is no such thread."""
    innermost = sys._current_frames().get(thread_id)
    if innermost is None:
        return None
    frames = list(_outward(innermost))
    place = next((frame for frame in frames if not _module_of(frame).startswith("gcron.")), innermost)
    where = f"{place.f_code.co_filename}:{place.f_lineno}, in {place.f_code.co_name}"
    from traceback import format_stack

    stack = "".join(format_stack(innermost))
    for frame in frames:
        if frame.f_code is JOB_CALL:
            job = frame.f_locals["run"].job
            remedy = "leave greenlet=True out, and it runs in a thread"
            return Blocker(job, f"job {job}", where, stack, remedy)
        if frame.f_code is OBSERVER_CALL:
            event = frame.f_locals["event"]
            job = event.job if isinstance(event, JobEvent) else ""
            return Blocker(job, f"an observer of {event.kind}", where, stack, "let it pass its work to a thread")
    if _module_of(frames[-1]).startswith("gcron.runtime."):
        return Blocker("", "a greenlet", where, stack, "")
    remedy = "start() runs jobs only while the program waits by gcron's means: call run(), or use start_thread()"
    return Blocker("", "the program", where, stack, remedy)


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
