"""The address of `gcron run --http`: read, bound, and the names by which clients may call it.

It is bound before the jobs start, so that a port that is taken refuses the start. This module must not load the server:
it is on the way to the first fire.
"""

from __future__ import annotations

import errno
import os
import socket as _stdlib
from contextlib import suppress

from gcron.frozen import frozen
from gcron.runtime.socket_files import remove_dead_socket
from gcron.web.errors import HttpError

__all__ = ["Address", "Bound", "bind", "read_address"]

_BACKLOG = 256
_MOST_PORT = 65535
# A Unix socket is for a proxy on this machine, which may be in the group of gcron's user. Others need a token as well.
_SOCKET_MODE = 0o660
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "*")


@frozen
class Address:
    """Where to listen: `host` and `port`, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or self.host in _LOOPBACK or self.host.startswith("127.")

    @property
    def names(self) -> frozenset[str]:
        """The hosts by which clients may call it, in lower case and without port."""
        own = set() if self.path else {self.host.lower()}
        if not self.is_loopback:
            own.add(_stdlib.gethostname().lower())
        return frozenset({*own, *_LOOPBACK})

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it; empty for a Unix socket."""
        if self.path:
            return ""
        return f"http://{Address('127.0.0.1' if self.host in _EVERYWHERE else self.host, self.port)}"


def read_address(text: str) -> Address:
    """Read `HOST:PORT`, `[IPV6]:PORT`, a port of the loopback interface, or `unix:PATH`. Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("unix: is followed by the path of a socket, such as unix:/run/gcron/http.sock")
        return Address(path=os.path.abspath(path))
    host, found, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MOST_PORT):
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as 127.0.0.1:9180, or unix:PATH")
    if found and not host:
        raise ValueError(f"{text!r} names no host: write 127.0.0.1{text}, or 0.0.0.0{text} to be reached by others")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write the address in brackets, such as [::1]:9180")
    return Address(host or "127.0.0.1", int(port))


class Bound:
    """A socket that listens; `address` has its real port."""

    def __init__(self, listener: _stdlib.socket, address: Address) -> None:
        self.listener = listener
        self.address = address
        self._inode = os.stat(address.path).st_ino if address.path else None

    def close(self) -> None:
        """Listen no more, and remove the file of a path, unless somebody has replaced it."""
        self.listener.close()
        if self._inode is not None:
            with suppress(OSError):
                if os.stat(self.address.path).st_ino == self._inode:
                    os.unlink(self.address.path)


def bind(address: Address) -> Bound:
    """Listen there. Raises HttpError. It may wait for a name server, so call it before the loop runs."""
    try:
        return _bind_path(address) if address.path else _bind_port(address)
    except OSError as error:
        raise HttpError(f"--http {address}: {_why(error, address)}") from None


def _bind_path(address: Address) -> Bound:
    remove_dead_socket(address.path)
    listener = _stdlib.socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        listener.bind(address.path)
        os.chmod(address.path, _SOCKET_MODE)
        return _listen(listener, address)
    except BaseException:
        listener.close()
        raise


def _bind_port(address: Address) -> Bound:
    host = None if address.host == "*" else address.host
    found = _stdlib.getaddrinfo(host, address.port, type=_stdlib.SOCK_STREAM, flags=_stdlib.AI_PASSIVE)
    family, kind, protocol, _, place = found[0]
    listener = _stdlib.socket(family, kind, protocol)
    try:
        # A port is free again as soon as its last gcron has ended.
        listener.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEADDR, 1)
        listener.bind(place)
        return _listen(listener, Address(address.host, listener.getsockname()[1]))
    except BaseException:
        listener.close()
        raise


def _listen(listener: _stdlib.socket, address: Address) -> Bound:
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return Bound(listener, address)


def _why(error: OSError, address: Address) -> str:
    if isinstance(error, _stdlib.gaierror):
        return f"there is no host {address.host!r}: {error.strerror}"
    if error.errno == errno.EADDRINUSE and address.port:
        command = f"`ss -ltnp 'sport = :{address.port}'` shows which"
        return f"another program has this port ({command}); choose another port, or 0 for any that is free"
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror or error}; give another path"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; 127.0.0.1 is reached from here, 0.0.0.0 from everywhere"
    if error.errno == errno.EACCES and address.port:
        return "only root can listen on a port below 1024; choose a higher one"
    return error.strerror or str(error)
