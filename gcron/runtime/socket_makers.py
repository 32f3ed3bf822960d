"""Functions that make sockets: connections, servers, pairs, and sockets on existing descriptors."""

from __future__ import annotations

import socket as _stdlib
from socket import AF_INET, SOCK_STREAM
from typing import Any, SupportsIndex

from gcron.runtime.dns import getaddrinfo, resolve
from gcron.runtime.sockets import socket

__all__ = ["create_connection", "create_server", "fromfd", "socketpair"]

# The standard library's mark for "no time-out given". http.client and others pass it on.
_DEFAULT_TIMEOUT: Any = _stdlib._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]


def create_connection(
    address: tuple[Any, Any],
    timeout: float | None = _DEFAULT_TIMEOUT,
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> socket:
    """Connect to `(host, port)`, trying each of the host's addresses in turn, and return the socket.

    `timeout`: seconds for each address, and afterwards the socket's own time-out. `source_address`: bind to it first.
    Raises the `OSError` of the last address, or with `all_errors` an `ExceptionGroup` of all of them.
    """
    host, port = address
    errors: list[OSError] = []
    for family, kind, proto, _, found in getaddrinfo(host, port, 0, SOCK_STREAM):
        try:
            return _connected(family, kind, proto, found, timeout, source_address)
        except OSError as error:
            errors.append(error)
    try:
        if not errors:
            raise OSError("getaddrinfo returns an empty list")
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[-1]
    finally:
        errors.clear()  # their tracebacks refer to this frame: break the cycle


def _connected(family: int, kind: int, proto: int, to: Any, timeout: float | None, source_address: Any) -> socket:
    made = socket(family, kind, proto)
    try:
        if timeout is not _DEFAULT_TIMEOUT:
            made.settimeout(timeout)
        if source_address:
            made.bind(source_address)
        made.connect(to)
    except BaseException:  # a time limit of the greenlet must not leave the descriptor open either
        made.close()
        raise
    return made


def create_server(
    address: Any,
    *,
    family: int = AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
) -> socket:
    """Return a TCP socket that listens on `(host, port)`. Arguments and errors are those of `socket.create_server`."""
    return _adopt(
        _stdlib.create_server(
            resolve(address, family),
            family=family,
            backlog=backlog,
            reuse_port=reuse_port,
            dualstack_ipv6=dualstack_ipv6,
        )
    )


def socketpair(family: int | None = None, type: int = SOCK_STREAM, proto: int = 0) -> tuple[socket, socket]:
    """Return two connected sockets, by default Unix ones."""
    one, other = _stdlib.socketpair(family, type, proto)
    return _adopt(one), _adopt(other)


def fromfd(fd: SupportsIndex, family: int, type: int, proto: int = 0) -> socket:
    """Return a socket on a duplicate of `fd`. Both become non-blocking."""
    return _adopt(_stdlib.fromfd(fd, family, type, proto))


def _adopt(made: _stdlib.socket) -> socket:
    """Turn a socket of the standard library into ours, with the same descriptor."""
    return socket(made.family, made.type, made.proto, made.detach())
