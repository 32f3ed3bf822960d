"""The controlling terminal: whether SIGHUP says that it has gone away, or asks for a reload.

When a terminal is closed, the kernel sends HUP to the session that it controls, and a shell passes that on to its jobs.
A HUP of anybody else is a request to read the files again. Both look the same. What differs is whether the terminal
is still there.
"""

from __future__ import annotations

import os
import select
import signal

from gcron.runtime.hub import READ, get_hub

__all__ = ["Terminal"]

_TERMINAL = "/dev/tty"
# Seconds between the end of a terminal and a HUP about that. A `gcron run FILE &` that nobody hung up when its user
# logged out goes on, and reads its files again at each later HUP.
_RECENTLY = 10.0


class Terminal:
    """The controlling terminal of this process, if it had one when this was made."""

    def __init__(self) -> None:
        # Under nohup(1), the end of the terminal is to change nothing.
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._fd = None if is_ignored else _open_terminal()
        self._ended_at: float | None = None
        if self._fd is not None:
            self._watch(self._fd)

    def has_just_gone(self) -> bool:
        """Whether the terminal has gone away, a moment ago: then a HUP is about that."""
        if self._fd is None:
            return False
        if self._ended_at is not None:
            return get_hub().monotonic() - self._ended_at < _RECENTLY
        there = _open_terminal()
        if there is not None:
            os.close(there)
        return there is None

    def _watch(self, fd: int) -> None:
        """Note when the terminal goes away. What somebody types on it must not wake the loop: so nothing is read."""
        if not hasattr(select, "epoll"):
            return
        epoll = select.epoll()
        epoll.register(fd, 0)  # hang-ups are reported whatever is asked for
        watch = get_hub().io.watch(epoll.fileno(), READ, lambda: end())

        def end() -> None:
            self._ended_at = get_hub().monotonic()
            watch.cancel()
            epoll.close()


def _open_terminal() -> int | None:
    try:
        return os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
