"""Greenlets: functions that run together in one thread.

`spawn(f, ...)` starts one, `kill` raises an exception in one. Names and behaviour are gevent's.

May not know queues, pools or processes. Longer than most modules: it is one class, with all the methods that gevent's
has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, copy_context
from functools import partial
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, Self

from greenlet import GreenletExit
from greenlet import getcurrent as raw_getcurrent

from gcron.runtime.hub import (
    FATAL,
    Carrier,
    SignalHandler,
    Task,
    Timer,
    describe,
    get_hub,
    interrupt,
    sleep,
)
from gcron.runtime.links import Linkable
from gcron.runtime.timeout import Timeout, timed_out

__all__ = [
    "Greenlet",
    "GreenletExit",
    "getcurrent",
    "join_each",
    "kill",
    "run_next",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "to_error",
]

_NEW, _STARTED, _RUNNING, _DONE, _CALLING = range(5)
# _CALLING: it has ended, and had callbacks to call. Most have none: then `join` and `get` need not ask whether they are
# due.
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Greenlet(Linkable, Task):
    """A function call that runs concurrently, and its result.

    Make and start one with `spawn`. A subclass may define `_run` instead of passing a function.
    """

    _state = _NEW
    _function: Callable[..., Any] | None = None
    _carrier: Carrier | None = None
    _start_timer: Timer | None = None
    _error: BaseException | None = None
    _traceback: TracebackType | None = None
    _locals: dict[int, Any] | None = None
    _at_end: Callable[[Greenlet], object] | None = None
    _name: str | None = None

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    value: Any = None
    """What the function returned, or the `GreenletExit` instance if it was killed. None otherwise."""

    def __init__(self, run: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> None:
        if run is not None:
            if not callable(run):
                raise TypeError(f"a greenlet runs a callable, got {run!r}")
            self._function = run
        # Empty arguments stay attributes of the class: most greenlets have no keyword arguments. HOT PATH.
        if args:
            self.args = args
        if kwargs:
            self.kwargs = kwargs
        # Read at every end. CPython reads attributes of the instance without looking at the class.
        self._links = None
        self._at_end = None
        me: Any = raw_getcurrent()
        try:
            self.hub = me.hub
        except AttributeError:
            self.hub = get_hub()
        # None stands for an empty context: most programs set no variable.
        context = me.gr_context
        self._context: Context | None = context.copy() if context else None

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Run its function. A subclass may define its own."""
        if self._function is None:
            raise NotImplementedError(f"{type(self).__name__} got no function and defines no _run")
        return self._function(*args, **kwargs)

    @classmethod
    def spawn(cls, *args: Any, **kwargs: Any) -> Greenlet:
        """Make a greenlet that starts at the next turn."""
        greenlet = cls(*args, **kwargs)
        greenlet._state = _STARTED
        greenlet.hub.ring.append(greenlet)
        return greenlet

    @classmethod
    def spawn_later(cls, seconds: float, *args: Any, **kwargs: Any) -> Greenlet:
        """Make a greenlet that starts in `seconds`."""
        greenlet = cls(*args, **kwargs)
        greenlet.start_later(seconds)
        return greenlet

    # -- state ----------------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """True from `start()` until it has ended."""
        return self._state in (_STARTED, _RUNNING) or self._start_timer is not None

    @property
    def dead(self) -> bool:
        """True once it has ended."""
        return self._state >= _DONE

    def __bool__(self) -> bool:
        return self.started

    def ready(self) -> bool:
        """True once it has ended."""
        return self._state >= _DONE

    def successful(self) -> bool:
        """True when it has ended without an error. A `GreenletExit` is no error."""
        return self._state >= _DONE and self._error is None

    @property
    def exception(self) -> BaseException | None:
        """The error it ended with, or None."""
        return self._error

    @property
    def exc_info(self) -> ExcInfo | None:
        """The error it ended with, as `sys.exc_info()` gives it, or None."""
        if self._error is None:
            return None
        return (type(self._error), self._error, self._traceback)

    @property
    def gr_frame(self) -> FrameType | None:
        """Where it waits; None while it runs, before it has begun, and after its end."""
        return None if self._carrier is None else self._carrier.gr_frame

    @property
    def name(self) -> str:
        """A name for people. May be assigned."""
        return self._name or f"Greenlet-{id(self):#x}"

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        function = "" if self._function is None else f": {getattr(self._function, '__qualname__', self._function)}"
        return f"<{type(self).__name__} {self.name}{function}>"

    # -- starting -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run at the next turn. Does nothing when it was started before."""
        if self._state != _NEW:
            return
        if self._start_timer is not None:
            self._cancel_start()
        self._state = _STARTED
        self.hub.ring.append(self)

    def start_later(self, seconds: float) -> None:
        """Run in `seconds`. Does nothing when it was started before."""
        if self._state == _NEW and self._start_timer is None:
            self._start_timer = self.hub.call_later(seconds, self.start)

    def _cancel_start(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None

    # -- running --------------------------------------------------------------------------------------------

    def execute(self, carrier: Carrier) -> None:
        """Run to the end on `carrier`. For the ring. HOT PATH."""
        if self._state >= _DONE:
            return  # killed before its first turn
        self._state = _RUNNING
        self._carrier = carrier
        # Not by `Context.run`: that is one more C frame on the carrier's stack, which each switch copies.
        carrier.gr_context = self._context
        function = self._function or self._run
        args = self.args
        try:
            if not args and not self.kwargs:
                value = function()
            elif len(args) == 1 and not self.kwargs:
                value = function(args[0])  # one C frame less than the general call
            else:
                value = function(*args, **self.kwargs)
        except BaseException as error:
            self._end_with(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
            # The traceback keeps the function's frames, and they keep this one. If this one kept us, who keep the
            # error, only the cyclic collector could free them.
            del self, function, args
        else:
            self.value = value
            self._end()

    def _end_with(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit):
            self.value = error.with_traceback(None)  # nobody looks for the reason of a kill there
            self._end()
            return
        label = describe(self)
        self._error = error
        self._traceback = error.__traceback__
        self._end()
        self.hub.report_error(label, error)

    def _end(self) -> None:
        self._state = _DONE
        # Somebody may hold the greenlet for long: free what it used.
        self._carrier = None
        if self._locals is not None:
            self._locals = None
        self._function = None
        self._context = None
        if self.args:
            self.args = ()
        if self.kwargs:
            self.kwargs = {}
        # Links first: whoever waits for its group must go on after its callbacks.
        if self._links:
            self._notify()
        if self._at_end is not None:
            call, self._at_end = self._at_end, None
            call(self)

    def call_at_end(self, call: Callable[[Greenlet], object]) -> None:
        """Call `call(self)` at the moment it ends. `call` must neither park nor raise."""
        if self._state >= _DONE:
            call(self)
        elif (earlier := self._at_end) is None:
            self._at_end = call
        else:
            self._at_end = lambda greenlet: (earlier(greenlet), call(greenlet))

    # -- results --------------------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | Timeout | None = None) -> Any:
        """Wait for its end and return its result.

        Raises the error that it ended with (the same object each time). Raises `Timeout` when it has not ended after
        `timeout` seconds, or has not ended yet with `block=False`.
        """
        if self._state != _DONE:
            if self._state == _CALLING:
                self.settle()
            elif not (block and self._wait_link(timeout)):
                raise timed_out(timeout)
        error = self._error
        if error is None:
            return self.value
        traceback = self._traceback
        try:
            raise error.with_traceback(traceback)
        finally:
            # This frame is in the traceback. It must refer neither to the error nor to an object that keeps it.
            del self, error

    def join(self, timeout: float | Timeout | None = None) -> None:
        """Wait for its end, at most `timeout` seconds. Does not raise its error."""
        if self._state == _CALLING:
            self.settle()
        elif self._state != _DONE:
            self._wait_link(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for its end. An error of the block is first raised in it, too."""
        if value is None:
            try:
                self.join()
            finally:
                self.kill()  # it does not outlive the block, even if the wait was interrupted
            return
        try:
            # An error that ends the program must not be reported a second time, from there.
            self.kill(GreenletExit if isinstance(value, FATAL) else value)
        finally:
            value.__traceback__ = trace  # without the frames of the greenlet

    # -- killing --------------------------------------------------------------------------------------------

    def throw(self, exception: Any = GreenletExit, value: Any = None, traceback: TracebackType | None = None) -> None:
        """Raise an exception in it at its next turn. Does not wait.

        Takes an exception, a class and an argument for it, or what `sys.exc_info()` returns.
        """
        if value is not None:
            exception = value if isinstance(value, BaseException) else exception(value)
        if traceback is not None:
            exception = to_error(exception).with_traceback(traceback)
        self.kill(exception, block=False)

    def kill(
        self,
        exception: BaseException | type[BaseException] = GreenletExit,
        block: bool = True,
        timeout: float | Timeout | None = None,
    ) -> None:
        """Raise `exception` in it. With `block`, wait for its end, at most `timeout` seconds.

        A greenlet that has not begun never will. One that has ended stays as it is. Raises `TypeError`, and leaves the
        greenlet alone, when `exception` is none.
        """
        error = to_error(exception)
        if get_hub() is not self.hub:
            self.hub.call_soon_threadsafe(self.kill, error, False)  # its state belongs to that thread
        elif self._state == _RUNNING:
            self._interrupt(error)
        elif self._state < _DONE:
            self._cancel_start()
            self._end_unstarted(error)
        if block:
            self.join(timeout)

    def _interrupt(self, error: BaseException) -> None:
        carrier = self._carrier
        assert carrier is not None
        if carrier is raw_getcurrent():
            raise error
        interrupt(carrier, self, error)

    def _end_unstarted(self, error: BaseException) -> None:
        # If it is in the ring, its turn will find it ended.
        self._end_with(error)

    # -- links ----------------------------------------------------------------------------------------------

    def link(self, callback: Callable[[Greenlet], object]) -> None:
        """Call `callback(self)` in a new greenlet after this one has ended."""
        self._link(callback, always)

    def link_value(self, callback: Callable[[Greenlet], object]) -> None:
        """As `link`, but only if it ends without an error."""
        self._link(callback, Greenlet.successful)

    def link_exception(self, callback: Callable[[Greenlet], object]) -> None:
        """As `link`, but only if it ends with an error."""
        self._link(callback, failed)

    def _call_soon(self, link: Any) -> None:
        self._state = _CALLING
        super()._call_soon(link)

    def _link(self, callback: Callable[[Greenlet], object], condition: Callable[[Greenlet], bool]) -> None:
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        self.rawlink(_SpawnedLink(callback, condition))


def _show_attributes() -> None:
    # CPython stores attributes in the object itself if the first instances of its class had them. Otherwise each
    # greenlet has a dictionary, which costs more than everything else in a spawn. HOT PATH.
    first = Greenlet()
    for name in (
        "_state",
        "_carrier",
        "value",
        "args",
        "kwargs",
        "_locals",
        "_error",
        "_traceback",
        "_name",
        "_start_timer",
    ):
        setattr(first, name, None)


_show_attributes()


def always(greenlet: Greenlet) -> bool:
    """Return True: the condition of `link`."""
    return True


def failed(greenlet: Greenlet) -> bool:
    """Return True when `greenlet` ended with an error: the condition of `link_exception`."""
    return greenlet.exception is not None


class _SpawnedLink:
    """A link whose callback may block: the hub only starts a greenlet for it."""

    __slots__ = ("callback", "condition", "context")

    def __init__(self, callback: Callable[[Greenlet], object], condition: Callable[[Greenlet], bool]) -> None:
        self.callback = callback
        self.condition = condition
        self.context = copy_context()

    def __call__(self, greenlet: Greenlet) -> None:
        if self.condition(greenlet):
            run_next(self.context, self.callback, greenlet)  # the hub's own context is nobody's

    def __eq__(self, other: object) -> bool:
        # `unlink` gets the user's callback.
        if isinstance(other, _SpawnedLink):
            return bool(self.callback == other.callback)
        return bool(self.callback == other)

    def __hash__(self) -> int:
        return hash(self.callback)


def join_each(greenlets: Iterable[Greenlet]) -> None:
    """Wait until all have ended. As `join` of each, but without the calls. HOT PATH."""
    for greenlet in greenlets:
        if greenlet._state != _DONE:
            greenlet.join()


def to_error(exception: Any) -> BaseException:
    """Return the exception for what `kill` gets: an exception or a class of exceptions. Else raise `TypeError`."""
    error = exception() if isinstance(exception, type) and issubclass(exception, BaseException) else exception
    if not isinstance(error, BaseException):
        raise TypeError(f"only an exception, or a class of exceptions, can be raised in a greenlet, got {exception!r}")
    return error


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Greenlet:
    """Run `function(*args, **kwargs)` in a new greenlet, which starts at the next turn. Return the greenlet.

    Raises `TypeError` at once when `function` cannot be called.
    """
    # As Greenlet.spawn, one call less. HOT PATH.
    greenlet = Greenlet(function, *args, **kwargs) if args or kwargs else Greenlet(function)
    greenlet._state = _STARTED
    greenlet.hub.ring.append(greenlet)
    return greenlet


def run_next(context: Context, function: Callable[..., Any], *args: Any) -> None:
    """Run `function(*args)` in `context` in a new greenlet, before everybody who is ready. For callbacks in the hub.

    The callback of a link is in the ring before everybody who began to wait after the link was made. What it starts
    must begin before them, too. Otherwise a program could end without the linked function having been called.
    """
    greenlet = Greenlet(function, *args)
    greenlet._context = context
    greenlet._state = _STARTED
    greenlet.hub.ring.appendleft(greenlet)


def spawn_later(seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Greenlet:
    """Run `function(*args, **kwargs)` in a new greenlet in `seconds`."""
    return Greenlet.spawn_later(seconds, function, *args, **kwargs)


def signal_handler(signalnum: int, handler: Callable[..., object], *args: Any, **kwargs: Any) -> SignalHandler:
    """Run `handler(*args, **kwargs)` in a new greenlet at each `signalnum`; `cancel()` of what is returned ends that.

    Raises `TypeError` when `handler` cannot be called, `ValueError` outside the main thread and for signals that cannot
    be handled.
    """
    if not callable(handler):
        raise TypeError(f"a signal's handler is a callable, got {handler!r}")
    return get_hub().signals.handle(signalnum, partial(copy_context().run, spawn, handler, *args, **kwargs))


def getcurrent() -> Any:
    """Return the running `Greenlet`, or the raw greenlet that runs outside of any (a thread's main one)."""
    me = raw_getcurrent()
    return me.task if type(me) is Carrier else me


def kill(greenlet: Greenlet, exception: BaseException | type[BaseException] = GreenletExit) -> None:
    """Raise `exception` in `greenlet` without waiting for its end."""
    greenlet.kill(exception, block=False)
