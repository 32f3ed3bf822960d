"""What a process hands down to the ones it starts without being asked: ignored signals and blocked ones.

`nohup gcron run …`, a shell script's `gcron run … &`, or a parent that blocks signals would otherwise leave every
job deaf to them, and a job that ignores INT or HUP cannot even take that back when it is a shell script.
"""

from __future__ import annotations

import signal

__all__ = ["hand_down_defaults"]

# The interpreter ignores these itself, and `subprocess` restores them in the child.
_PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}


def hand_down_defaults() -> None:
    """Let children start with default dispositions and no blocked signal. For the main thread, before any other.

    A signal that was ignored still does nothing here: it gets a handler that does nothing, which ends at exec.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in signal.valid_signals() - _PYTHONS_OWN:
        if signal.getsignal(signum) is signal.SIG_IGN:
            # A handler would not do for this one: the kernel's default is what keeps exit statuses.
            signal.signal(signum, signal.SIG_DFL if signum == signal.SIGCHLD else _do_nothing)


def _do_nothing(signum: int, frame: object) -> None:
    return
