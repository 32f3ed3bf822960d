"""The control socket as a part of the daemon. It is loaded in a thread, so that no fire waits for that."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from gcron.control.instance import Reload
    from gcron.control.socket import ControlSocket

__all__ = ["ControlPart"]

# Seconds in which the jobs that are due at the start begin: the thread that loads this would take their time.
_AFTER_THE_START = 0.2


class ControlPart:
    """Answers the commands for a running gcron, such as `gcron status`.

    `name`: of the instance. `say` takes a line when it cannot listen.
    """

    def __init__(
        self, scheduler: Scheduler, name: str, crontabs: Sequence[str], reload: Reload, say: Callable[[str], object]
    ) -> None:
        self._scheduler = scheduler
        self._name = name
        self._crontabs = tuple(crontabs)
        self._reload = reload
        self._say = say
        self._socket: ControlSocket | None = None
        self._starter: Greenlet | None = None

    def start(self) -> None:
        """Begin to listen, soon; returns at once."""
        self._starter = spawn(self._start)

    def _start(self) -> None:
        since = self._scheduler.clock.now()
        sleep(_AFTER_THE_START)
        make: Any = get_hub().threadpool.spawn(_load).get()
        for twin in get_hub().threadpool.spawn(_find_twins, self._crontabs).get():
            self._say(twin)
        self._socket = make(self._scheduler, self._name, self._crontabs, self._reload, since, self._say)
        self._socket.start()

    def stop(self) -> None:
        """End, within a second or two."""
        if self._starter is not None:
            self._starter.kill()
        if self._socket is not None:
            self._socket.stop()


def _find_twins(crontabs: Sequence[str]) -> list[str]:
    """Describe each other gcron of this user that runs the jobs of one of these crontabs: they run twice. For a thread.

    What other users' gcrons say is not believed: anybody can write such a file, and root's log would repeat it.
    """
    from gcron.control.places import running

    own = {os.path.abspath(path) for path in crontabs if path != "-"}
    found = [(one, sorted(own.intersection(one.crontabs))) for one in running() if one.is_own]
    return [
        f"the gcron {one.name} (process {one.pid}, since {one.since}) runs the jobs of {', '.join(shared)}, too:"
        " each of them runs twice"
        for one, shared in found
        if shared
    ]


def _load() -> Any:
    from gcron.control.socket import make_control_socket

    return make_control_socket
