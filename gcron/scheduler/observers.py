"""Who is told of events. An observer that raises disturbs nothing; one that takes its time delays whoever tells it.

Only at the end of all it has no time any more: what waits for a scheduler that waits for it would do so for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

from gcron.policy import nearest
from gcron.runtime.greenlet import Greenlet, GreenletExit, getcurrent
from gcron.runtime.hub import Timer, get_hub
from gcron.runtime.timeout import Timeout
from gcron.scheduler.arguments import checked_observer
from gcron.scheduler.events import EVENTS, Event

__all__ = ["Observable", "Observer", "Observers"]

Observer = Callable[[Any], object]
E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Observer)

# Seconds that an observer may take once all is to end.
_HURRIED = 2.0


class Observers:
    """Functions, by the kind of event that they are told of."""

    def __init__(self) -> None:
        self._observers: dict[str, list[Observer]] = {kind: [] for kind in (*EVENTS, "*")}
        self._calls: set[_Call] = set()
        self._is_hurried = False

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
            self._call(observer, event)

    def _call(self, observer: Observer, event: Event) -> None:
        call = _Call(getcurrent())
        self._calls.add(call)
        if self._is_hurried:
            self._limit(call)
        try:
            observer(event)
        except (GreenletExit, KeyboardInterrupt):  # not its own doing: somebody ends who tells it, or presses Ctrl-C
            raise
        except BaseException as error:  # SystemExit too: no observer ends the scheduler by raising
            get_hub().report_error(f"observer {observer!r}", _harmless(error))
        finally:
            self._calls.discard(call)
            if call.limit is not None:
                call.limit.cancel()

    def hurry(self) -> None:
        """From now on each call of an observer, also one under way, is ended by a `Timeout` after two seconds."""
        if self._is_hurried:
            return
        self._is_hurried = True
        for call in self._calls:
            self._limit(call)

    def _limit(self, call: _Call) -> None:
        call.limit = get_hub().call_later(_HURRIED, _end, call.greenlet)


class _Call:
    """One call of an observer, under way."""

    __slots__ = ("greenlet", "limit")

    def __init__(self, greenlet: object) -> None:
        self.greenlet = greenlet
        self.limit: Timer | None = None


def _end(greenlet: object) -> None:
    if isinstance(greenlet, Greenlet):  # the main one of a thread cannot be woken like that
        greenlet.kill(Timeout(_HURRIED, "the scheduler is to stop"), block=False)


def _harmless(error: BaseException) -> BaseException:
    """What can be reported: a hub takes a SystemExit for the end of the program."""
    if not isinstance(error, SystemExit):
        return error
    harmless = RuntimeError(f"it wants to exit with {error.code!r}, and is to call the scheduler's stop() instead")
    return harmless.with_traceback(error.__traceback__)


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
        kind, TypeError for an observer that cannot be called, or is async.
        """
        name = _name_of(kind)

        def add(observer: Observer) -> Observer:
            self._observers.add(name, checked_observer(observer))
            return observer

        return add if observer is None else add(observer)

    def off(self, kind: str | type[Event], observer: Observer) -> None:
        """Call it no more at events of `kind`; fine when it is not called. Raises ValueError for an unknown kind."""
        self._observers.remove(_name_of(kind), observer)


def _name_of(kind: str | type[Event]) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and issubclass(kind, Event):
        return "*" if kind is Event else kind.kind
    raise TypeError(f"{kind!r} is no kind of event: give a class of gcron.scheduler or its name, such as RunFinished")
