"""Resets the signals that jobs would inherit as ignored or blocked.

`nohup gcron run …`, a shell script's `gcron run … &`, or a parent that blocks signals: every job would ignore these
signals, too. A shell script cannot even change that: it cannot trap a signal that was ignored at its start.
"""

from __future__ import annotations

import signal

__all__ = ["hand_down_defaults"]

# The interpreter ignores these itself, and `subprocess` restores them in the child.
_PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}


def hand_down_defaults() -> None:
    """Let children start with default dispositions and no blocked signal. Call it in the main thread, before others.

    A signal that was ignored still does nothing here: it gets an empty handler, which exec resets.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in signal.valid_signals() - _PYTHONS_OWN:
        if signal.getsignal(signum) is signal.SIG_IGN:
            # No handler for this one: the kernel keeps exit statuses only with the default.
            signal.signal(signum, signal.SIG_DFL if signum == signal.SIGCHLD else _do_nothing)


def _do_nothing(signum: int, frame: object) -> None:
    return
