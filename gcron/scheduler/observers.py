"""Who is told of events. An observer that raises disturbs nothing; one that takes its time delays whoever tells it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

from gcron.hub import get_hub
from gcron.policy import nearest
from gcron.scheduler.events import EVENTS, Event
from gcron.timeout import Timeout

__all__ = ["Observable", "Observer", "Observers"]

Observer = Callable[[Any], object]
E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Observer)


class Observers:
    """Functions, by the kind of event that they are told of."""

    def __init__(self) -> None:
        self._observers: dict[str, list[Observer]] = {kind: [] for kind in (*EVENTS, "*")}

    def add(self, kind: str, observer: Observer) -> None:
        """Tell `observer` of each event of `kind`; `*`: of all. Raises ValueError when there is no such kind."""
        self._of(kind).append(observer)

    def remove(self, kind: str, observer: Observer) -> None:
        """Tell it no more; nothing happens when it is not told. Raises ValueError when there is no such kind."""
        with suppress(ValueError):
            self._of(kind).remove(observer)

    def _of(self, kind: str) -> list[Observer]:
        if kind not in self._observers:
            raise ValueError(f"there are no events of kind {kind!r} ({nearest(kind, self._observers)})")
        return self._observers[kind]

    def tell(self, event: Event) -> None:
        """Call the observers of `event`, one after the other, in the calling greenlet."""
        for observer in (*self._observers[event.kind], *self._observers["*"]):
            try:
                observer(event)
            except (Exception, Timeout) as error:
                get_hub().report_error(f"observer {observer!r}", error)


class Observable:
    """What has observers. Any thread may add and remove them; they are told in that of the scheduler."""

    def __init__(self) -> None:
        self._observers = Observers()

    @overload
    def on(self, kind: type[E], observer: Callable[[E], object]) -> Callable[[E], object]: ...
    @overload
    def on(self, kind: type[E]) -> Callable[[Callable[[E], object]], Callable[[E], object]]: ...
    @overload
    def on(self, kind: str, observer: F) -> F: ...
    @overload
    def on(self, kind: str) -> Callable[[F], F]: ...

    def on(self, kind: str | type[Event], observer: Observer | None = None) -> Any:
        """Call `observer(event)` at each event of `kind`, a class of `gcron.scheduler` or its name; `*`: at all.

        Returns the observer; without one, a decorator. What an observer raises is reported on stderr and disturbs
        nothing. One that waits delays the run it is told of, and no other. Raises ValueError when there is no such
        kind.
        """
        name = _name_of(kind)

        def add(observer: Observer) -> Observer:
            self._observers.add(name, observer)
            return observer

        return add if observer is None else add(observer)

    def off(self, kind: str | type[Event], observer: Observer) -> None:
        """Call it no more at events of `kind`; fine when it is not called. Raises ValueError for an unknown kind."""
        self._observers.remove(_name_of(kind), observer)


def _name_of(kind: str | type[Event]) -> str:
    if isinstance(kind, str):
        return kind
    return "*" if kind is Event else kind.kind
