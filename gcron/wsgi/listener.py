"""The listening socket of a server, and the forms in which users write its address."""

from __future__ import annotations

import os
import socket as _stdlib
import struct
from contextlib import suppress
from typing import Any

from gcron.errors import ArgumentError
from gcron.runtime.dns import getaddrinfo
from gcron.runtime.socket_files import remove_dead_socket
from gcron.runtime.socket_makers import create_server, fromfd
from gcron.runtime.sockets import socket

__all__ = ["Listener", "name_of", "parse_address", "peer_uid"]

_MOST_PORT = 65535
# Linux: the process, user and group that connected (unix(7), struct ucred).
_PEER_CREDENTIALS = getattr(_stdlib, "SO_PEERCRED", None)
_CREDENTIALS = struct.Struct("3i")


class Listener:
    """A listening socket, made from an address or from another socket.

    `place`: `(host, port)`, `"host:port"`, `":port"`, a Unix socket's path (`"/path"`, `"unix:path"`), or a bound
    socket. `backlog`: connections that the kernel holds until they are accepted.

    Raises `ArgumentError` for other places. Raises `OSError` if it cannot listen there: `EADDRINUSE` also for a path on
    which somebody listens, and for a file of another kind. A socket file on which nobody listens is replaced.
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
        """Close the socket, also a given one. Remove the file of a path, unless somebody has replaced it meanwhile."""
        self.socket.close()
        if self._given is not None:
            self._given.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)


def parse_address(place: Any) -> tuple[str, int] | str:
    """Return `(host, port)` or a path. Raises `ArgumentError` for what is neither."""
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
    raise ArgumentError(f"a listener is (host, port), 'host:port', '/path' or a socket, got {place!r}")


def name_of(listener: _stdlib.socket) -> Any:
    """Return the address to which a socket is bound: `(host, port)`, or a path."""
    name = listener.getsockname()
    return name[:2] if isinstance(name, tuple) else name


def peer_uid(client: _stdlib.socket) -> int | None:
    """Return the user of the process that connected to a Unix socket. None where the system does not say."""
    if client.family != _stdlib.AF_UNIX or _PEER_CREDENTIALS is None:
        return None
    return int(_CREDENTIALS.unpack(client.getsockopt(_stdlib.SOL_SOCKET, _PEER_CREDENTIALS, _CREDENTIALS.size))[1])


def _checked_port(port: int) -> int:
    # The resolver would use it modulo 65536.
    if not 0 <= port <= _MOST_PORT:
        raise ArgumentError(f"a port is 0 to {_MOST_PORT}, got {port}")
    return port


def _share(given: _stdlib.socket, backlog: int) -> socket:
    """Return a cooperative socket on a duplicate of `given`. Make it listen if it does not yet."""
    if not given.getsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_ACCEPTCONN):
        given.listen(backlog)
    return fromfd(given.fileno(), given.family, given.type, given.proto)


def _listen_on_port(host: str, port: int, backlog: int) -> socket:
    if not host:
        return create_server(("", port), backlog=backlog)
    family, _, _, _, found = getaddrinfo(host, port, 0, _stdlib.SOCK_STREAM, 0, _stdlib.AI_PASSIVE)[0]
    return create_server(found[:2], family=family, backlog=backlog)


def _listen_on_path(path: str, backlog: int) -> socket:
    remove_dead_socket(path)
    made = socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        made.bind(path)
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made
