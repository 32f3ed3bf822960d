"""Where a server listens: what users write as an address, and the socket made of it."""

from __future__ import annotations

import errno
import os
import socket as _stdlib
import stat
from contextlib import suppress
from typing import Any

from gcron.runtime.dns import getaddrinfo
from gcron.runtime.socket_makers import create_server, fromfd
from gcron.runtime.sockets import socket

__all__ = ["Listener", "name_of", "parse_address"]

_MOST_PORT = 65535


class Listener:
    """A listening socket of our own, made of an address or of somebody's socket.

    `place`: `(host, port)`, `"host:port"`, `":port"`, a Unix socket's path (`"/path"`, `"unix:path"`), or a bound
    socket. `backlog`: connections that the kernel keeps until they are accepted.

    Raises `ValueError` for a place that is none of these, `OSError` when it cannot be had: `EADDRINUSE` also for a path
    that somebody listens on, or that is something else than a socket. A socket file that nobody listens on is replaced.
    """

    def __init__(self, place: Any, backlog: int) -> None:
        self._given: _stdlib.socket | None = None
        self._path: str | None = None
        if isinstance(place, _stdlib.socket):
            self._given = place
            self.socket = _share(place, backlog)
            return
        address = parse_address(place)
        if isinstance(address, str):
            self.socket = _listen_on_path(address, backlog)
            self._path = address
            self._inode = os.stat(address).st_ino
        else:
            self.socket = _listen_on_port(*address, backlog)

    def close(self) -> None:
        """Listen no more. A given socket is closed too, a path removed unless somebody has replaced it meanwhile."""
        self.socket.close()
        if self._given is not None:
            self._given.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)


def parse_address(place: Any) -> tuple[str, int] | str:
    """Return `(host, port)` or a path; `ValueError` for what is neither."""
    if isinstance(place, tuple) and len(place) == 2:
        return str(place[0]), _checked_port(int(place[1]))
    if isinstance(place, os.PathLike):
        return str(os.fspath(place))
    if isinstance(place, str):
        if place.startswith("unix:"):
            return place.removeprefix("unix:")
        if "/" in place:
            return place
        host, found, port = place.rpartition(":")
        if found and port.isdecimal():
            return host.strip("[]"), _checked_port(int(port))
    raise ValueError(f"a listener is (host, port), 'host:port', '/path' or a socket, got {place!r}")


def name_of(listener: _stdlib.socket) -> Any:
    """Return what a socket is bound to: `(host, port)`, or a path."""
    name = listener.getsockname()
    return name[:2] if isinstance(name, tuple) else name


def _checked_port(port: int) -> int:
    # The resolver would take it modulo 65536.
    if not 0 <= port <= _MOST_PORT:
        raise ValueError(f"a port is 0 to {_MOST_PORT}, got {port}")
    return port


def _share(given: _stdlib.socket, backlog: int) -> socket:
    """Return a cooperative socket beside somebody's own; one that does not listen yet does now."""
    if not given.getsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_ACCEPTCONN):
        given.listen(backlog)
    return fromfd(given.fileno(), given.family, given.type, given.proto)


def _listen_on_port(host: str, port: int, backlog: int) -> socket:
    if not host:
        return create_server(("", port), backlog=backlog)
    family, _, _, _, found = getaddrinfo(host, port, 0, _stdlib.SOCK_STREAM, 0, _stdlib.AI_PASSIVE)[0]
    return create_server(found[:2], family=family, backlog=backlog)


def _listen_on_path(path: str, backlog: int) -> socket:
    _make_way(path)
    made = socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        made.bind(path)
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made


def _make_way(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, "this file is no socket, and is not replaced by one", path)
    with _stdlib.socket(_stdlib.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "somebody listens on this socket", path)
    os.unlink(path)
