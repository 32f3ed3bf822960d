"""The standard library's `socket`, with waiting that lets other greenlets run.

Everything that `socket` exports is here under the same name. What would block is gcron's own: the class `socket`,
the functions that make one, and name lookups. Constants and pure functions are the standard library's.

Example::

    from gcron.socket import create_connection

    with create_connection(("127.0.0.1", 8000), timeout=5.0) as connection:
        connection.sendall(b"hello")
"""

from __future__ import annotations

import socket as _stdlib
from socket import *  # noqa: F403 - all of it, whatever the platform has
from socket import SocketIO

# After the star: these take the place of the standard library's.
from gcron.exceptions import ConcurrentObjectUseError
from gcron.runtime.dns import getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, gethostbyname_ex, getnameinfo
from gcron.runtime.select import wait_read, wait_readwrite, wait_write
from gcron.runtime.socket_makers import create_connection, create_server, fromfd, socketpair
from gcron.runtime.sockets import socket

__all__ = [
    "ConcurrentObjectUseError",
    "SocketIO",
    "create_connection",
    "create_server",
    "fromfd",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "socket",
    "socketpair",
    "wait_read",
    "wait_readwrite",
    "wait_write",
]
__all__ += [name for name in _stdlib.__all__ if name not in __all__]
