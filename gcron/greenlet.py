"""Greenlets: functions that run together in one thread. `gcron` has the same names.

Example::

    from gcron import sleep, spawn

    greeting = spawn(lambda: "hello")
    sleep(0.1)
    print(greeting.get())
"""

from gcron.runtime.greenlet import (
    Greenlet,
    GreenletExit,
    getcurrent,
    kill,
    signal_handler,
    sleep,
    spawn,
    spawn_later,
)
from gcron.runtime.waiting import iwait, joinall, killall, wait

__all__ = [
    "Greenlet",
    "GreenletExit",
    "getcurrent",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "wait",
]
