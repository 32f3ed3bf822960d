"""A view of a running gcron that is kept up to date: by its events, and by a look now and then.

Two threads ask. When gcron goes away, they wait for it, and the view says that it is out of date.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from gcron.control.client import Client, Happening, NoGcron, Refused
from gcron.frozen import frozen, replace

__all__ = ["Follower", "View"]

# Seconds between an event and the look for what came of it: the history has it only then. And between two looks.
_SETTLE = 0.25
# Seconds between two looks at all jobs: no event says that the crontabs were read again. A look takes at most one
# hundredth of the time.
_LOOK_EVERY, _SHARE = 2.0, 100
_RETRY = 1.0
# Seconds that a thread may take to end.
_LAST_PATIENCE = 0.5
# Jobs that are looked at one by one; when more have changed, all are.
_MOST_SINGLE = 20

Record = dict[str, Any]


@frozen
class View:
    """How a gcron and its jobs stood at one moment."""

    instance: Record
    jobs: tuple[Record, ...]
    """Services, too, in the order of the crontabs."""
    taken: float
    """On the clock `time.monotonic`."""
    problem: str = ""
    """Why it is out of date; empty when it is not."""

    def now(self) -> str:
        """Return the present time of that gcron, as its answers have times."""
        then = datetime.fromisoformat(self.instance["now"])
        return (then + timedelta(seconds=time.monotonic() - self.taken)).isoformat()


class Follower:
    """Keeps `view` up to date from `start` to `stop`. Raises NoGcron or Refused when gcron does not answer at first."""

    def __init__(self, client: Client) -> None:
        self._client = client.another()
        self._events = client.another()
        self.view = self._look_at_all()
        self._tell: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._changed: set[str] | None = set()
        """Names of jobs; None: all of them."""
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, tell: Callable[[], object]) -> None:
        """Begin. `tell` is called in another thread after each look."""
        self._tell = tell
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._look)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End soon, even while gcron does not answer."""
        self._stopped.set()
        self._wanted.set()
        self._events.hang_up()
        for thread in self._threads:
            thread.join(_LAST_PATIENCE)

    def look_again(self) -> None:
        """Have all jobs looked at soon."""
        self._note(None)

    # -- what has changed ---------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                for happening in self._events.stream("events"):
                    self._note(_job_of(happening))
            except (NoGcron, Refused):
                pass  # the look says what is wrong
            self._note(None)
            self._stopped.wait(_RETRY)

    def _note(self, job: str | None) -> None:
        with self._lock:
            if job is None or self._changed is None:
                self._changed = None
            else:
                self._changed.add(job)
        self._wanted.set()

    # -- looking ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        with self._client:
            self._look_until_stopped()

    def _look_until_stopped(self) -> None:
        next_look = time.monotonic() + _LOOK_EVERY
        while not self._stopped.is_set():
            self._wanted.wait(max(0.0, next_look - time.monotonic()))
            self._stopped.wait(_SETTLE)
            if self._stopped.is_set():
                return
            began = time.monotonic()
            self._wanted.clear()
            with self._lock:
                changed, self._changed = self._changed, set()
            if began >= next_look:
                changed = None
            try:
                view = self._look_at_all() if changed is None else self._look_at(changed)
            except (NoGcron, Refused, KeyError) as error:
                view = replace(self.view, problem=str(error))
            self.view = view
            self._tell()
            took = time.monotonic() - began
            if view.problem:
                self._note(None)
                self._stopped.wait(_RETRY)
            else:
                if changed is None:
                    next_look = began + max(_LOOK_EVERY, _SHARE * took)
                self._stopped.wait(4 * took)  # a gcron with many jobs has other work, too

    def _look_at_all(self) -> View:
        instance = self._client.get("instance")
        taken = time.monotonic()
        return View(instance, tuple(self._client.pages("jobs", "jobs", limit=500)), taken)

    def _look_at(self, names: set[str]) -> View:
        known = {job["job"] for job in self.view.jobs}
        if len(names) > _MOST_SINGLE or not names <= known:
            return self._look_at_all()
        fresh = {name: self._client.get("jobs", name) for name in names}
        instance = self._client.get("instance")
        return View(instance, tuple(fresh.get(job["job"], job) for job in self.view.jobs), time.monotonic())


def _job_of(happening: Happening) -> str | None:
    """Return the name of an event's job; None when any job may have changed."""
    job = happening.data.get("job")
    return job if isinstance(job, str) and job else None
