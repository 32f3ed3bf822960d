"""The first lines of the process `gcron`: it loses no signal, and as process 1 it is also an init.

Outside the package on purpose: importing any part of `gcron` starts the runtime. This module imports only what the
interpreter has loaded already, so that the time without signal handlers is as short as Python allows
(docs/containers.md), and so that the init is small. It does two things: collect orphans, and pass signals on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["has_init", "main"]

# Faults concern this process; stops from the terminal go to the process that has the terminal; Python ignores SIGPIPE.
_NOT_PASSED_ON = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGPIPE,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGTRAP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
}
_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Blocked until the daemon has its handlers (`gcron.daemon.daemon`): their default action would end it.
_LATER = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_has_init = False


def has_init() -> bool:
    """Whether the process that was started is process 1, and has stayed behind as the init of this one."""
    return _has_init


def main() -> int:
    """Run the command line of `gcron`; returns the exit status."""
    global _has_init
    # The kernel keeps blocked signals. Without a handler, process 1 would lose them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _held())
    if os.getpid() == 1:
        _leave_init_behind()
        _has_init = True
    is_run = sys.argv[1:2] == ["run"]
    if is_run:
        gc.disable()  # what a start loads is no garbage; `gcron.cli.run` turns the collector on again
        for signum in _STOP:
            signal.signal(signum, _stop_before_the_start)
        mask = set(_LATER)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    from gcron.cli.main import main as run_command_line

    status = run_command_line()
    if is_run:
        os._exit(status)  # at once: a late signal would change the status, a thread that hangs in a read would wait
    return status


def _held() -> set[signal.Signals]:
    return signal.valid_signals() - _NOT_PASSED_ON


def _stop_before_the_start(signum: int, frame: FrameType | None) -> None:
    os._exit(0)


# -- process 1 --------------------------------------------------------------------------------------------------


def _leave_init_behind() -> None:
    """Fork: process 1 becomes an init, its child returns. When process 1 ends, the kernel ends all others."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, the kernel would throw exit statuses away
    if child := os.fork():
        _be_init(child)
    # Its own process group: the signals of keys (Ctrl-C) go to the group of process 1, which passes them on. In that
    # group, the child would get them twice.
    os.setpgid(0, 0)


def _be_init(child: int) -> NoReturn:
    while True:
        signum = signal.sigwait(_held())
        if signum != signal.SIGCHLD:
            # The child exists, at least as a zombie: only we collect its status, and then we exit.
            os.kill(child, signum)
        elif (status := _collect(child)) is not None:
            os._exit(status)


def _collect(child: int) -> int | None:
    """Collect all processes that have ended; returns the exit status of `child` if it is one of them."""
    while True:
        pid, raw = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return None
        if pid == child:
            status = os.waitstatus_to_exitcode(raw)
            return status if status >= 0 else 128 - status
