"""The Unix socket on which a gcron answers: who may connect, which file it is, and when what answers is loaded.

The socket listens from the start, and costs little: the server and the API are loaded in a thread when the first
client connects. This module must not know what can be asked.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gcron.control.binding import Bound, bind
from gcron.control.instance import Instance, Reload
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import READ, get_hub
from gcron.runtime.pool import Group
from gcron.scheduler.scheduler import Scheduler

__all__ = ["ControlSocket", "make_control_socket", "serve_control"]

_MOST_CONNECTIONS = 100
_HEADER_BYTES, _BODY_BYTES = 16 * 1024, 128 * 1024
_REQUEST_TIMEOUT, _IDLE_TIMEOUT, _SEND_TIMEOUT = 10.0, 30.0, 10.0

Say = Callable[[str], object]


class ControlSocket:
    """Answers on `DIRECTORY/NAME/control.sock`, or at `path`; a part of the daemon.

    `say` is called with a line when that is impossible: gcron goes on without. `start` returns at once.
    """

    def __init__(self, gcron: Instance, say: Say = lambda text: None, path: str | None = None) -> None:
        self._gcron = gcron
        self._say = say
        self._path = path
        self._bound: Bound | None = None
        self._server: Any = None
        self._api: Any = None
        self._opener: Greenlet | None = None
        self._calls = Group()

    @property
    def path(self) -> str | None:
        """Where it listens; None before that, and when it cannot."""
        return None if self._bound is None else self._bound.path

    def start(self) -> None:
        """Begin to listen, soon."""
        self._opener = spawn(self._open)

    def open(self) -> None:
        """Begin to listen now. Raises OSError when that is impossible."""
        self._bound = get_hub().threadpool.spawn(bind, self._gcron, self._path).get()
        self._opener = spawn(self._serve, self._bound)

    def stop(self) -> None:
        """End, within a second or two."""
        bound, self._bound = self._bound, None
        if self._opener is not None:
            self._opener.kill()
        if self._api is not None:
            self._api.close()
        if self._server is not None:
            self._server.stop(timeout=0.5)
        if bound is not None:
            bound.close()

    def _open(self) -> None:
        try:
            bound: Bound = get_hub().threadpool.spawn(bind, self._gcron, self._path).get()
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror or error}"
            self._say(f"no control socket, so gcron status and the like do not reach this gcron: {text}")
            return
        self._bound = bound
        try:
            self._serve(bound)
        except Exception as error:  # no connection may wait for an answer that never comes
            bound.close()
            self._bound = None
            self._say(f"the control socket is closed: {type(error).__name__}: {error}")

    def _serve(self, bound: Bound) -> None:
        get_hub().wait_io(bound.listener.fileno(), READ)
        # In a thread: to load all this takes a tenth of a second, in which jobs may be due.
        wsgi, api = get_hub().threadpool.spawn(_load).get()
        limits = wsgi.Limits(
            connections=_MOST_CONNECTIONS,
            header_bytes=_HEADER_BYTES,
            body_bytes=_BODY_BYTES,
            header_timeout=_REQUEST_TIMEOUT,
            body_timeout=_REQUEST_TIMEOUT,
            idle_timeout=_IDLE_TIMEOUT,
            send_timeout=_SEND_TIMEOUT,
        )
        self._api = api.Api(self._gcron, _who)
        application = _OwnerOnly(self._api)
        self._server = wsgi.WSGIServer(bound.listener, application, log=None, error_log="default", limits=limits)
        self._server.start()


def make_control_socket(
    scheduler: Scheduler, name: str, crontabs: Sequence[str], reload: Reload, since: float, say: Say
) -> ControlSocket:
    """Return the socket of a `gcron run`; see `ControlPart`."""
    return ControlSocket(Instance(scheduler, name, tuple(crontabs), reload, since, scheduler.clock), say)


def serve_control(scheduler: Scheduler, path: str) -> ControlSocket:
    """Let `gcron status --socket PATH` and the like reach this scheduler; returns the socket, whose `stop` ends that.

    For the thread of the scheduler. Raises OSError when it cannot listen there.
    """
    clock = scheduler.clock
    gcron = Instance(scheduler, os.path.basename(path), since=clock.now(), clock=clock)
    made = ControlSocket(gcron, path=os.path.abspath(path))
    made.open()
    return made


def _load() -> tuple[Any, Any]:
    import gcron.control.api
    import gcron.wsgi

    return gcron.wsgi, gcron.control.api


# -- who asks -----------------------------------------------------------------------------------------------------


class _OwnerOnly:
    """Answers root and the user of this process. Others could not connect anyway, but modes can be changed."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        uid = environ.get("gcron.peer_uid")
        if uid is None or uid in (0, os.getuid()):  # None: the system does not say; then the mode of the file decides
            return self._application(environ, start_response)
        from gcron.control.api import problem
        from gcron.control.errors import ControlError

        text = f"this gcron answers root and the user {os.getuid()}, and not the user {uid}"
        return problem(ControlError("not-allowed", text), start_response)


def _who(environ: Mapping[str, Any]) -> str:
    """The user who connected: the name if it can be had at once, else the number."""
    uid = environ.get("gcron.peer_uid")
    if uid is None:
        return ""
    if uid not in _names:
        asked = get_hub().threadpool.spawn(_name_of, uid)  # in a thread: a user database may be behind a network
        asked.wait(1.0)
        if not asked.ready():
            return f"user {uid}"
        _names[uid] = asked.get()
    return _names[uid]


_names: dict[int, str] = {}


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
