"""Observers: functions that get events. One that raises disturbs nothing; one that waits delays its caller only.

At the end of everything an observer has little time: one that waits for the scheduler, which waits for it, would do so
forever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

from gcron.errors import ArgumentError
from gcron.policy import nearest
from gcron.runtime.greenlet import Greenlet, GreenletExit, getcurrent
from gcron.runtime.hub import Timer, get_hub
from gcron.runtime.timeout import Timeout
from gcron.scheduler.events import EVENTS, JobEvent, SchedulerEvent
from gcron.supervise.python_call import end_if_forked, in_main_thread, is_a
from gcron.supervise.timing import TIMING, Timing

__all__ = ["OBSERVER_CALL", "Observable", "Observer", "Observers"]

Observer = Callable[[Any], object]
E = TypeVar("E", bound=SchedulerEvent)
F = TypeVar("F", bound=Observer)

_CO_COROUTINE = 0x80  # as in `inspect`


class Observers:
    """Functions, by the kind of event that they get."""

    report: Callable[[object, BaseException], object]
    """Called for an observer that has raised."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self.report = _report_on_stderr
        self._limit = timing.observer
        self._observers: dict[str, list[Observer]] = {kind: [] for kind in (*EVENTS, "*")}
        self._own: dict[str, list[Observer]] = {kind: [] for kind in EVENTS}
        """Those of the scheduler, which are called before others."""
        self._early: dict[str, list[Observer]] = {kind: [] for kind in EVENTS}
        """Those that are called before the scheduler's own."""
        self._calls: set[_Call] = set()
        self._is_hurried = False

    def add(self, kind: str, observer: Observer) -> None:
        """Give `observer` each event of `kind`; `*`: all. Raises ArgumentError when there is no such kind."""
        self._of(kind).append(observer)

    def add_own(self, kind: str, observer: Observer) -> None:
        """Give `observer`, a part of the scheduler, each event of `kind` before all others get it."""
        self._own[kind].append(observer)

    def add_early(self, kind: str, observer: Observer) -> None:
        """Give `observer`, which may not wait, each event of `kind` before all others, also before the history."""
        self._early[kind].append(observer)

    def begin_anew(self) -> None:
        """Forget the scheduler's own observers, and let calls take their time again."""
        self._own = {kind: [] for kind in EVENTS}
        self._is_hurried = False

    def remove(self, kind: str, observer: Observer) -> None:
        """Take it away, if it is there. Raises ArgumentError when there is no such kind."""
        with suppress(ValueError):
            self._of(kind).remove(observer)

    def _of(self, kind: str) -> list[Observer]:
        if kind not in self._observers:
            raise ArgumentError(f"there are no events of kind {kind!r} ({nearest(kind, self._observers)})")
        return self._observers[kind]

    def tell(self, event: SchedulerEvent) -> None:
        """Call the observers of `event`, one after the other, in the calling greenlet."""
        kind = event.kind
        for observer in (*self._early[kind], *self._own[kind], *self._observers[kind], *self._observers["*"]):
            self._call(observer, event)

    def _call(self, observer: Observer, event: SchedulerEvent) -> None:
        call = _Call(getcurrent())
        self._calls.add(call)
        if self._is_hurried:
            self._limit_call(call)
        process = os.getpid()
        try:
            observer(event)
            end_if_forked(process, None)
        except BaseException as error:  # SystemExit too: no observer ends the scheduler by raising
            end_if_forked(process, error)
            if _was_killed(error):  # not its fault
                raise
            if is_a(error, KeyboardInterrupt) and in_main_thread():  # somebody pressed Ctrl-C
                raise
            self._report(observer, _harmless(error))
        finally:
            self._calls.discard(call)
            if call.limit is not None:
                call.limit.cancel()

    def _report(self, observer: Observer, error: BaseException) -> None:
        try:
            self.report(observer, error)
        except BaseException as second:  # the error's own code: its text, its `__class__`
            if is_a(second, KeyboardInterrupt) and in_main_thread():
                raise
            text = f"{type(error).__name__}, whose report raised {type(second).__name__}"
            self.report(observer, RuntimeError(text))

    def hurry(self) -> None:
        """From now on end each call of an observer, also one under way, after `Timing.observer` seconds."""
        if self._is_hurried:
            return
        self._is_hurried = True
        for call in self._calls:
            self._limit_call(call)

    def _limit_call(self, call: _Call) -> None:
        call.limit = get_hub().call_later(self._limit, _end, call.greenlet, self._limit)


OBSERVER_CALL = Observers._call.__code__
"""In the stack of whatever an observer does; `event` is a local variable there."""


def _report_on_stderr(observer: object, error: BaseException) -> None:
    get_hub().report_error(f"observer {observer!r}", error)


class _Call:
    """One call of an observer, under way."""

    __slots__ = ("greenlet", "limit")

    def __init__(self, greenlet: object) -> None:
        self.greenlet = greenlet
        self.limit: Timer | None = None


def _end(greenlet: object, seconds: float) -> None:
    if isinstance(greenlet, Greenlet):  # the main greenlet of a thread cannot be killed
        greenlet.kill(Timeout(seconds, "the scheduler is to stop"), block=False)


def _was_killed(error: BaseException) -> bool:
    """Whether somebody killed the greenlet while it waited. A GreenletExit that the observer raises is its own."""
    if not is_a(error, GreenletExit):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("gcron.runtime.")


def _harmless(error: BaseException) -> BaseException:
    """An error that can be reported: a hub takes a SystemExit for the end of the program."""
    if is_a(error, SystemExit):
        text = f"it exits with {error.code!r}; an observer ends a scheduler by its stop() instead"
    elif is_a(error, KeyboardInterrupt):
        text = "it raised KeyboardInterrupt"
    else:
        return error
    harmless = RuntimeError(text)
    return harmless.with_traceback(error.__traceback__)


class Observable:
    """Something with observers. Any thread may add and remove them; they are called in the scheduler's thread."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self._observers = Observers(timing)

    @overload
    def on(self, kind: type[E], observer: Callable[[E], object]) -> Callable[[E], object]: ...
    @overload
    def on(self, kind: type[E]) -> Callable[[Callable[[E], object]], Callable[[E], object]]: ...
    @overload
    def on(self, kind: str, observer: F) -> F: ...
    @overload
    def on(self, kind: str) -> Callable[[F], F]: ...

    def on(self, kind: str | type[SchedulerEvent], observer: Observer | None = None) -> Any:
        """Call `observer(event)` for each event of `kind`, a class of `gcron.scheduler` or its name; `*`: for all.

        Returns the observer; without one, a decorator. What an observer raises is logged and disturbs
        nothing. One that waits delays the run of its event, and no other. Raises ArgumentError when there is no such
        kind, TypeError for an observer that cannot be called, or is async.
        """
        name = _name_of(kind)

        def add(observer: Observer) -> Observer:
            self._observers.add(name, _checked(observer))
            return observer

        return add if observer is None else add(observer)

    def off(self, kind: str | type[SchedulerEvent], observer: Observer) -> None:
        """Stop calling `observer` for events of `kind`. Raises ArgumentError for an unknown kind."""
        self._observers.remove(_name_of(kind), observer)


def _name_of(kind: str | type[SchedulerEvent]) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and issubclass(kind, SchedulerEvent):
        return "*" if kind in (SchedulerEvent, JobEvent) else kind.kind
    raise TypeError(f"{kind!r} is no kind of event: give a class of gcron.scheduler or its name, such as RunFinished")


def _checked(observer: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return `observer`. Raises TypeError if it cannot be called, or would only return a coroutine."""
    if not callable(observer):
        raise TypeError(f"an observer is a function that takes an event, not {observer!r}")
    if _is_async(observer):
        raise TypeError(f"{observer!r} is async, and would not be awaited: an observer is a plain function")
    return observer


def _is_async(observer: Callable[[Any], object]) -> bool:
    code = getattr(observer, "__code__", None)
    if code is not None and not code.co_flags & _CO_COROUTINE and not getattr(observer, "__dict__", True):
        return False  # such as the log of `gcron run`, whose start then need not import `inspect`, which takes 4 ms
    import inspect

    return inspect.iscoroutinefunction(observer)
