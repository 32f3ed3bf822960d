"""The thread that writes what the journal holds into the store: together what came within a moment.

The loop only wakes it. It must not know what is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from gcron.runtime.event import Event
from gcron.runtime.hub import Hub, get_hub
from gcron.scheduler.journal import Journal
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import RecordsRefused, Store

__all__ = ["Recorder"]

# Seconds for which records are gathered: one transaction for all of them.
_GATHERING = 0.02
# Seconds for the first jobs to start, before the store is opened: its modules are imported in this thread, and the loop
# would wait for the interpreter's lock.
_HEAD_START = 0.05
# Pieces of output that are written before records are looked for again.
_PIECES_AT_ONCE = 50
# Seconds until a write that failed is tried again, or upkeep that had to wait for a write.
_RETRY_AFTER = 1.0
# Seconds until upkeep is tried again that failed.
_UPKEEP_AFTER = 5.0
# Seconds between two calls of upkeep, at most.
_LONGEST_PAUSE = 3600.0
# Seconds after which a write that goes on counts as stalled.
_STALLED_AFTER = 5.0


class Recorder:
    """Writes for the thread that makes it.

    `fail(what, why)` is called in the loop when something does not work, `succeed(what)` when it works again. The
    recorder's thread begins with the first `wake`; a store that does not block needs none.
    """

    def __init__(
        self, store: Store, journal: Journal, fail: Callable[[str, str], None], succeed: Callable[[str], None]
    ) -> None:
        self._store = store
        self._journal = journal
        self._fail = fail
        self._succeed = succeed
        self._hub: Hub | None = None
        """The loop of the last call. A scheduler may be made in one thread and started in another."""
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._is_awake = False
        self._thread: threading.Thread | None = None
        self._writing_since: float | None = None
        self._failing: set[str] = set()
        """What did not work the last time: `write`, `output`, `upkeep`."""
        self._closed: Event | None = None
        self._flushes: list[Event] = []
        """To be set once all is written that waits now."""

    def wake(self) -> None:
        """There is something in the journal; returns at once."""
        if self._journal.is_full and "write" not in self._failing:
            self.note_failure("write", "it is too slow: no more records can wait for it")
        if not self._store.blocks:
            self._write()
            return
        since = self._writing_since
        if since is not None and time.monotonic() - since > _STALLED_AFTER:
            self.note_failure("write", f"a write has not ended for {_STALLED_AFTER:g} s")
        if not self._is_awake:
            self._is_awake = True
            self._call_thread(True)

    def flush(self, timeout: float) -> None:
        """Wait until all is written that the journal holds now, for at most `timeout` seconds."""
        if not self._store.blocks or self._thread is None or (not self._is_awake and self._writing_since is None):
            return
        written = Event()
        self._flushes.append(written)
        self._call_thread(True)
        release = get_hub().hold()
        written.wait(timeout)
        release()

    def close(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds, and close the store."""
        if not self._store.blocks:
            self._store.close()
            return
        self._closed = Event()
        self._call_thread(False)
        release = get_hub().hold()
        self._closed.wait(timeout)
        release()

    def _call_thread(self, goes_on: bool) -> None:
        self._hub = get_hub()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gcron-store", daemon=True)
            self._thread.start()
        self._calls.put(goes_on)

    def note_failure(self, what: str, why: str) -> None:
        """What it is asked for does not work, until the next write does."""
        self._failing.add(what)
        self._fail(what, why)

    # -- the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        time.sleep(_HEAD_START)
        timeout = 0.0
        while self._wait(timeout):
            self._writing_since = time.monotonic()
            self._is_awake = False  # from here on, the next record wakes it again
            flushes, self._flushes = self._flushes, []
            self._write()
            if flushes:
                self._call_loop(_set_all, flushes)
            has_to_write = self._is_awake or not self._failing <= {"upkeep"}
            timeout = _RETRY_AFTER if has_to_write else self._tend()
            self._writing_since = None
        self._write()
        with suppress(Exception):
            self._store.close()
        assert self._closed is not None, "made before the thread is told to end"
        self._call_loop(self._closed.set)

    def _wait(self, timeout: float) -> bool:
        """Wait until there is something to do; False when that is to close."""
        goes_on = True
        with suppress(Empty):
            goes_on = self._calls.get(timeout=timeout)
        if goes_on and self._is_awake:
            time.sleep(_GATHERING)
        return goes_on

    def _write(self) -> None:
        self._write_records()
        pieces = self._journal.take_output()
        if not pieces and "output" in self._failing:
            self._write_output([])  # perhaps it works again
        for start in range(0, len(pieces), _PIECES_AT_ONCE):
            if start:
                self._write_records()  # they are to be on disk soon, however much output there is
            self._write_output(pieces[start : start + _PIECES_AT_ONCE])

    def _write_output(self, pieces: Sequence[OutputPiece]) -> None:
        try:
            self._store.write_output(pieces)
        except Exception as error:
            self._report("output", error)
        else:
            self._report("output")

    def _write_records(self) -> None:
        batch = self._journal.take()
        if not batch and "write" not in self._failing:
            return
        try:
            self._store.write(batch)
        except RecordsRefused as error:
            self._journal.confirm(batch)
            self._journal.lost += error.lost
            self._report("write", error)
        except Exception as error:
            self._journal.give_back(batch)
            self._report("write", error)
        else:
            self._journal.confirm(batch)
            self._report("write")

    def _tend(self) -> float:
        try:
            pause = self._store.tend()
        except Exception as error:
            self._report("upkeep", error)
            return _UPKEEP_AFTER
        self._report("upkeep")
        return min(pause, _LONGEST_PAUSE)

    def _report(self, what: str, error: Exception | None = None) -> None:
        if error is not None:
            self._failing.add(what)
            self._call_loop(self._fail, what, f"{type(error).__name__}: {error}")
        elif what in self._failing:
            self._failing.discard(what)
            self._call_loop(self._succeed, what)

    def _call_loop(self, function: Callable[..., object], *args: object) -> None:
        if self._hub is None:  # there is no thread
            function(*args)
            return
        with suppress(OSError):  # the loop may have ended
            self._hub.call_soon_threadsafe(function, *args)


def _set_all(events: Sequence[Event]) -> None:
    for event in events:
        event.set()
