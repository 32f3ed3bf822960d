"""Who is told of events. An observer that raises disturbs nothing; one that takes its time delays whoever tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcron.hub import get_hub
from gcron.scheduler.events import EVENTS, Event
from gcron.timeout import Timeout

__all__ = ["Observer", "Observers"]

Observer = Callable[[Any], object]


class Observers:
    """Functions, by the kind of event that they are told of."""

    def __init__(self) -> None:
        self._observers: dict[str, list[Observer]] = {kind: [] for kind in (*EVENTS, "*")}

    def add(self, kind: str, observer: Observer) -> None:
        """Tell `observer` of each event of `kind`; `*`: of all. Raises ValueError when there is no such kind."""
        if kind not in self._observers:
            raise ValueError(f"there are no events of kind {kind!r}; known are {', '.join(self._observers)}")
        self._observers[kind].append(observer)

    def tell(self, event: Event) -> None:
        """Call the observers of `event`, one after the other, in the calling greenlet."""
        for observer in (*self._observers[event.kind], *self._observers["*"]):
            try:
                observer(event)
            except (Exception, Timeout) as error:
                get_hub().report_error(f"observer {observer!r}", error)
