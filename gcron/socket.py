"""The standard library's `socket`, with waiting that lets other greenlets run.

Everything that `socket` exports is here under the same name. What would block is gcron's own: the class `socket`
(`gcron.socket_type`), what makes one (`gcron.socket_makers`) and the look-ups of names (`gcron.dns`). The rest,
constants and pure functions, is the standard library's.
"""

from __future__ import annotations

import socket as _stdlib
from socket import *  # noqa: F403 - all of it, whatever the platform has
from socket import SocketIO

# After the star, and in its place.
from gcron.dns import getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, gethostbyname_ex, getnameinfo
from gcron.socket_makers import create_connection, create_server, fromfd, socketpair
from gcron.socket_type import socket

__all__ = [
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
]
__all__ += [name for name in _stdlib.__all__ if name not in __all__]
