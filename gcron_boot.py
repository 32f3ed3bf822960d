"""The first moments of `gcron` as a process: no signal is lost, and as process 1 it is an init, too.

Outside the package on purpose: importing any part of `gcron` starts the runtime. Here only what an interpreter has
at hand is imported, so the window in which signals find nobody is as short as Python allows (docs/containers.md),
and the process that stays behind as process 1 is small and does two things: collect orphans, pass signals on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]

# Faults are the process's own; a stop from the terminal is for who has the terminal; Python wants no SIGPIPE.
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
# Wait, blocked, until the service has its handlers (`gcron.daemon.service`): by default they would end it.
_LATER = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> int:
    """Run the command line of `gcron`; returns the exit status."""
    # Blocked signals are kept by the kernel, for process 1 too, to which all others without a handler are lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _held())
    if os.getpid() == 1:
        _leave_init_behind()
    is_run = sys.argv[1:2] == ["run"]
    if is_run:
        gc.disable()  # what is imported and read stays; `gcron.cli.run` turns the collector on again
        for signum in _STOP:
            signal.signal(signum, _stop_before_the_start)
        mask = set(_LATER)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    from gcron.cli.main import main as run_command_line

    status = run_command_line()
    if is_run:
        os._exit(status)  # nothing may change it any more: no late signal, no thread that hangs in a read
    return status


def _held() -> set[signal.Signals]:
    return signal.valid_signals() - _NOT_PASSED_ON


def _stop_before_the_start(signum: int, frame: FrameType | None) -> None:
    os._exit(0)


# -- process 1 --------------------------------------------------------------------------------------------------


def _leave_init_behind() -> None:
    """Fork: process 1 stays behind as an init, its child returns. When process 1 ends, the kernel ends all others."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the kernel would throw exit statuses away
    if child := os.fork():
        _be_init(child)
    # A process group of its own: the keys of a terminal (Ctrl-C) go to that of process 1, which passes them on. In the
    # same one, both would get them, and the scheduler twice.
    os.setpgid(0, 0)


def _be_init(child: int) -> NoReturn:
    while True:
        signum = signal.sigwait(_held())
        if signum != signal.SIGCHLD:
            # It is there, at least as a zombie: its status is collected nowhere but here, and then we are gone.
            os.kill(child, signum)
        elif (status := _collect(child)) is not None:
            os._exit(status)


def _collect(child: int) -> int | None:
    """Collect everybody who has ended; returns the exit status of `child` if it is among them."""
    while True:
        pid, raw = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return None
        if pid == child:
            status = os.waitstatus_to_exitcode(raw)
            return status if status >= 0 else 128 - status
