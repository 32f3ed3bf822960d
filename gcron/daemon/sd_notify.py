"""Messages to the service manager: sd_notify(3), datagrams to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import os
import time

__all__ = ["Notifier"]


class Notifier:
    """Sends messages to the service manager, if it set NOTIFY_SOCKET. Never waits, never raises."""

    def __init__(self) -> None:
        # Removed: a job that found the socket could send messages in gcron's name.
        path = os.environ.pop("NOTIFY_SOCKET", "")
        # `@` stands for the NUL byte of an abstract name.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_interval = _watchdog_interval() if path else None
        """Seconds without `alive` after which the manager restarts gcron (`WatchdogSec=`); None without a watchdog."""

    def ready(self) -> None:
        """The jobs are loaded, and signals are handled."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The files are being read again; `ready` ends it. With the time that `Type=notify-reload` asks for."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """No new fire; running jobs are waited for."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Everything works. Call it at least once in each `watchdog_interval`."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        import socket  # 2 ms that most starts save

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)
        except (OSError, ValueError):
            return  # the manager is gone: jobs run all the same


def _watchdog_interval() -> float | None:
    """Seconds, as sd_watchdog_enabled(3) reads them. The variables are removed, too: they are for this process."""
    microseconds, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    return int(microseconds) / 1e6 if pid in ("", str(os.getpid())) else None
