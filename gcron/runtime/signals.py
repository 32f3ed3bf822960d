"""Signals as calls in the hub, and a Ctrl-C that cannot break the loop. Main thread only.

The handlers that Python calls only append to the ring, so they are safe at any bytecode. A program's own handlers may
do the same (spawn a greenlet, set an event): every signal wakes the loop, no matter who handles it. No signal is ever
blocked, because children would inherit the mask.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from gcron.runtime.readiness import Readiness
from gcron.runtime.ring import Host

__all__ = ["SignalHandler", "Signals"]

# What `signal.set_wakeup_fd` returns when nobody listens.
_NONE = -1
# Modules in which an exception at an arbitrary bytecode would lose a ring entry, or a waiter that is about to be woken.
_LOOP_MODULES = frozenset(
    f"{__package__}.{name}"
    for name in (
        *("hub", "loop", "poller", "readiness", "ring", "signals", "timers"),
        *("channel", "event", "greenlet", "links", "lock", "queue"),
    )
) | {"selectors"}


class SignalHandler:
    """What `Signals.handle` returns. Cancelling the last one of a signal restores the previous disposition."""

    __slots__ = ("_owner", "args", "function", "signum")

    def __init__(
        self,
        owner: Signals,
        signum: int,
        function: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        self._owner = owner
        self.signum = signum
        self.function = function
        self.args = args

    def cancel(self) -> None:
        """Handle the signal no more. A second call does nothing."""
        self._owner.drop(self)


class Signals:
    """The signals that one loop handles."""

    def __init__(self, hub: Host, io: Readiness) -> None:
        self._hub = hub
        self._io = io
        self._handlers: dict[int, list[SignalHandler]] = {}
        self._dispositions_before: dict[int, Any] = {}
        self._wakeup_fd_before: int | None = None

    def __bool__(self) -> bool:
        return bool(self._handlers)

    def handle(self, signum: int, function: Callable[..., object], *args: Any) -> SignalHandler:
        """Call `function(*args)` in the hub at each `signum`, after the functions that handle it already.

        Raises `ValueError` outside the main thread and for signals that cannot be handled.
        """
        self.listen()
        previous = signal.signal(signum, self._on_signal)
        handlers = self._handlers.setdefault(signum, [])
        if not handlers:
            # None: a handler that was not installed from Python, and cannot be restored.
            self._dispositions_before[signum] = signal.SIG_DFL if previous is None else previous
        handler = SignalHandler(self, signum, function, args)
        handlers.append(handler)
        return handler

    def drop(self, handler: SignalHandler) -> None:
        """Remove a cancelled handler."""
        handlers = self._handlers.get(handler.signum, [])
        if handler not in handlers:
            return
        handlers.remove(handler)
        if not handlers:
            del self._handlers[handler.signum]
            signal.signal(handler.signum, self._dispositions_before.pop(handler.signum))
        if not self._handlers and self._wakeup_fd_before != _NONE:
            self.stop_listening()

    def others_handle(self) -> bool:
        """True when the program handles some signal with a function of its own, which may wake somebody."""
        return threading.current_thread() is threading.main_thread() and any(
            callable(handler) and handler not in (signal.default_int_handler, self._on_interrupt, self._on_signal)
            for handler in map(signal.getsignal, signal.valid_signals())
        )

    def listen(self) -> None:
        """Let every signal wake the loop, no matter which thread the kernel delivers it to."""
        before = signal.set_wakeup_fd(self._io.wake_fd, warn_on_full_buffer=False)
        if self._wakeup_fd_before is None:
            self._wakeup_fd_before = before

    def stop_listening(self) -> None:
        """Call this before our descriptors are closed: signals would be written to whatever gets the number next."""
        if self._wakeup_fd_before is not None:
            signal.set_wakeup_fd(self._wakeup_fd_before)
            self._wakeup_fd_before = None

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        for handler in self._handlers.get(signum, ()):
            self._hub.call_soon_threadsafe(self._deliver, handler)

    def _deliver(self, handler: SignalHandler) -> None:
        if handler in self._handlers.get(handler.signum, ()):  # it was not cancelled meanwhile
            handler.function(*handler.args)

    def prepare_to_wait(self) -> None:
        """Call this before the loop first blocks: signals must end the poll, and Ctrl-C must not break the loop.

        During a blocking call Python runs a signal's handler and then goes on blocking (PEP 475). A greenlet that the
        handler made ready would not run. If another event loop listens already, that is left alone.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._take_over_interrupts()
        if self._wakeup_fd_before is None:
            self.listen()
            if self._wakeup_fd_before != _NONE:
                self.stop_listening()

    def _take_over_interrupts(self) -> None:
        """Make Ctrl-C raise at once in the user's code, but never between two steps of the loop.

        The default handler raises at any bytecode. Inside `park` that would lose the ring entry just taken. There the
        `KeyboardInterrupt` goes to the main greenlet at its next turn instead.
        """
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_globals.get("__name__") in _LOOP_MODULES:
            self._hub.call_soon_threadsafe(self._hub.tell_main, KeyboardInterrupt())
        else:
            signal.default_int_handler(signum, frame)
