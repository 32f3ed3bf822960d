"""`WSGIServer`: accepts connections, serves each in a greenlet of its own, and stops within a limited time."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket as _stdlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from wsgiref.util import FileWrapper

from gcron.errors import ArgumentError
from gcron.runtime.event import Event
from gcron.runtime.greenlet import Greenlet, getcurrent, sleep, spawn
from gcron.runtime.hub import READ, get_hub
from gcron.runtime.lock import Semaphore
from gcron.runtime.sockets import socket
from gcron.runtime.waiting import joinall, killall
from gcron.version import __version__
from gcron.wsgi.connection import Application, Connection, Part
from gcron.wsgi.limits import Limits
from gcron.wsgi.listener import Listener, name_of, parse_address
from gcron.wsgi.log import open_log, write_line

__all__ = ["WSGIServer"]

# When descriptors or connections run out: seconds until the next try, and seconds that a connection must have waited
# for its client before it is closed to make room: somebody who has just connected is about to send a request.
_PAUSE = 0.1
_BRIEF = 0.2
# The part of all descriptors (RLIMIT_NOFILE) that no connection may take: jobs and other work start with these. It is
# more than what starting keeps free for the log, so accepting stops well before starting does.
_RESERVED = 3 / 8
# Seconds between two messages that there is no room.
_COMPLAIN_EVERY = 60.0
# Seconds that a killed request has to clean up before its connection is closed.
_DYING = 1.0
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# The client has gone before it was accepted, or a firewall forbids it. The next one may be fine.
_NEVER_MIND = (
    *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ETIMEDOUT, errno.ENOPROTOOPT),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
)


class WSGIServer:
    """An HTTP/1.1 server of one WSGI application, in the thread that starts it.

    `listener`: `(host, port)`, `"host:port"`, `":port"`, a Unix socket's path (`"/path"`, `"unix:path"`), or a bound
    socket, which `stop` closes. Port 0 takes a free one: see `server_port`. `application`: the WSGI callable; it runs
    in its connection's greenlet. `backlog`: connections that the kernel holds until they are accepted. `spawn`: a pool,
    a group or a function that starts a connection's greenlet. By default `gcron.spawn`. A number is the maximum number
    of connections at once. `log`: one line per request (common log format, and the seconds it took). `error_log`:
    tracebacks of the application. Each is a file or a `logging.Logger`, "default" for stderr, or None. `environ`:
    additions to every request's environ.
    """

    def __init__(
        self,
        listener: Any,
        application: Application,
        backlog: int = 256,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        *,
        environ: dict[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        if not callable(application):
            raise TypeError(f"a WSGI application is callable, got {application!r}")
        self.application = application
        self.limits = limits or Limits()
        self.log = None if log is None else open_log(log, logging.INFO)
        self.error_log = open_log(error_log, logging.ERROR)
        self.environ: dict[str, Any] = {}
        self.started = False
        self._place = listener
        # Raises for a wrong address here, not at the start.
        self._address = name_of(listener) if isinstance(listener, _stdlib.socket) else parse_address(listener)
        self._additions = environ or {}
        self._backlog = backlog
        self._spawn, self._most = _spawner(spawn, self.limits.connections)
        self._slots = Semaphore(self._most)
        self._complained = -_COMPLAIN_EVERY
        self._failure: OSError | None = None
        self._listener: Listener | None = None
        self._acceptor: Greenlet | None = None
        self._connections: dict[Connection, Any] = {}
        self._waiting: dict[Part, dict[Connection, float]] = {part: {} for part in Part}
        """Those that wait for their clients, and since when; the one that waits longest first."""
        self._stopped = Event()

    # -- starting and stopping ------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and return. Connections are served from now on. Does nothing when started.

        Raises `OSError` when it cannot listen on its address.
        """
        if self.started:
            return
        self._listener = Listener(self._place, self._backlog)
        self.environ = self._shared_environ()
        self._stopped.clear()
        self._slots = Semaphore(self._most)
        self._failure = None
        self.started = True
        self._acceptor = spawn(self._accept_all, self._listener.socket)

    def serve_forever(self) -> None:
        """Start, and return after `stop` was called elsewhere. If interrupted (Ctrl-C, a kill), stop first.

        Raises `OSError` when its listening socket broke.
        """
        self.start()
        try:
            self._stopped.wait()
        finally:
            self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = 1.0) -> None:
        """Accept no more, give running requests `timeout` seconds to end, then kill them. Does nothing when stopped.

        Connections without a request are closed at once. If a request calls it, it does not wait for that one.
        """
        if not self.started:
            return
        self.started = False
        try:
            if self._acceptor is not None:
                self._acceptor.kill()
            if self._listener is not None:
                self._address = self.address
                self._listener.close()
                self._listener = None
            for connection in list(self._waiting[Part.REQUEST]):
                connection.close()
            me = getcurrent()
            running = [g for g in self._connections.values() if isinstance(g, Greenlet) and g is not me]
            joinall(running, timeout)
            killall(running, block=False)
            joinall(running, _DYING)
            for connection, greenlet in list(self._connections.items()):
                if greenlet is not me:
                    connection.close()  # killed before it had begun, or it ignores the kill
                    self._forget(connection)
        finally:
            self._stopped.set()

    # -- attributes -----------------------------------------------------------------------------------------

    @property
    def address(self) -> Any:
        """The address: `(host, port)`, or the path of a Unix socket. Before `start`, the configured one."""
        return self._address if self._listener is None else name_of(self._listener.socket)

    @property
    def server_host(self) -> str:
        """The host of its address, or "unix" for a path."""
        address = self.address
        return address[0] if isinstance(address, tuple) else "unix"

    @property
    def server_port(self) -> int | None:
        """The port of its address, or None for a path."""
        address = self.address
        return address[1] if isinstance(address, tuple) else None

    def _shared_environ(self) -> dict[str, Any]:
        return {
            "SCRIPT_NAME": "",
            "SERVER_NAME": self.server_host,
            "SERVER_PORT": str(self.server_port or 80),  # must not be empty; 80 adds nothing to a URL
            "SERVER_SOFTWARE": f"gcron/{__version__}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": self.error_log,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,  # a body ends, also without a Content-Length
            **self._additions,
        }

    # -- accepting ------------------------------------------------------------------------------------------

    def _accept_all(self, listener: socket) -> None:
        while True:
            if not self._slots.acquire(blocking=False):
                self._await_slot(listener)
            self._await_descriptor(listener)
            try:
                client, peer = listener.accept()
            except OSError as error:
                self._slots.release()
                if error.errno in _NEVER_MIND:
                    continue
                if error.errno not in _NO_ROOM:
                    self._give_up(error)
                    return
                self._complain(error)
                # Linux raises this before it looks for a client: wait until there is one.
                self._await_client(listener)
                if not self._make_room():
                    sleep(_PAUSE)
            else:
                self._serve(client, peer)

    def _await_descriptor(self, listener: socket) -> None:
        """Return when one more connection does not take a descriptor that others start with."""
        while not _is_descriptor_free(listener):
            self._await_client(listener)
            if not self._make_room():
                self._complain(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
                sleep(_PAUSE)

    def _await_slot(self, listener: socket) -> None:
        while True:
            self._await_client(listener)
            self._make_room()
            if self._slots.acquire(timeout=_PAUSE):
                return

    def _await_client(self, listener: socket) -> None:
        with suppress(OSError, ValueError):  # if it is closed, accept() raises
            get_hub().wait_io(listener.fileno(), READ)

    def _complain(self, error: OSError) -> None:
        now = get_hub().monotonic()
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            write_line(self.error_log, f"accepting connections pauses: {error}\n")

    def _give_up(self, error: OSError) -> None:
        write_line(self.error_log, f"no more connections can be accepted: {error}\n")
        self._failure = error
        spawn(self.stop)

    def _serve(self, client: socket, peer: Any) -> None:
        if client.family != _stdlib.AF_UNIX:
            with suppress(OSError):  # on macOS, when the client has already gone
                client.setsockopt(_stdlib.IPPROTO_TCP, _stdlib.TCP_NODELAY, 1)
        connection = Connection(self, client, peer)
        self._connections[connection] = None
        try:
            greenlet = self._spawn(self._serve_one, connection)
        except Exception as error:
            write_line(self.error_log, f"a connection could not be served: {error!r}\n")
            connection.close()
            self._forget(connection)
            return
        if connection in self._connections:  # it is not over already
            self._connections[connection] = greenlet

    def _serve_one(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._slots.release()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client, half requests first. True if there is one.

        Its client can connect again. One for which something has come, that it has not seen yet, stays.
        """
        before = get_hub().monotonic() - _BRIEF
        for waiting in self._waiting.values():
            for connection, since in waiting.items():
                if since > before:
                    break
                if connection.is_silent:
                    connection.close()
                    return True
        return False

    def note_waiting(self, connection: Connection, part: Part) -> None:
        """A connection waits for its client."""
        self._waiting[part][connection] = get_hub().monotonic()

    def note_busy(self, connection: Connection) -> None:
        """A connection waits no more."""
        for waiting in self._waiting.values():
            waiting.pop(connection, None)


def _is_descriptor_free(listener: socket) -> bool:
    """Whether the next connection would get a descriptor below those that connections leave to others."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return True
    try:
        lowest = os.dup(listener.fileno())
    except OSError as error:
        return error.errno not in _NO_ROOM  # if it is closed, accept() raises
    os.close(lowest)
    return lowest < limit * (1 - _RESERVED)


def _spawner(given: Any, most: int) -> tuple[Callable[..., Any], int]:
    """Return the function that starts a connection's greenlet, and the maximum number of connections."""
    if given == "default":
        return spawn, most
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 1:
            raise ArgumentError(f"a server needs room for a connection, got spawn={given}")
        return spawn, min(given, most)
    starts = getattr(given, "spawn", given)
    if not callable(starts):
        raise TypeError(f"spawn is 'default', a number, a pool or a callable, got {given!r}")
    # No more connections than the pool has places: idle ones are closed before its `spawn` would wait.
    return starts, min(most, getattr(given, "size", None) or most)
