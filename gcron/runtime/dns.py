"""Looking up names and addresses without blocking the loop.

The standard library's lookups block. They run in the hub's thread pool, eight at a time, while other greenlets go on. A
lookup that asks no server (a numeric host with a numeric port) is answered at once, without a thread. Arguments,
results and errors (`gaierror`, `herror`) are the standard library's. A caller that is killed or timed out returns at
once, and its lookup goes on in its thread.

May not know sockets, only their addresses.
"""

from __future__ import annotations

import socket as _stdlib
from collections.abc import Callable
from typing import Any, TypeVar

from gcron.runtime.hub import get_hub

__all__ = [
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "resolve",
]

T = TypeVar("T")
Host = str | bytes | bytearray | None
Port = str | bytes | int | None

# Addresses of these families have a host that may be a name.
_INTERNET = (_stdlib.AF_INET, _stdlib.AF_INET6)
# In a socket address, an empty host means any address, and the other one the broadcast address.
_WILDCARDS = ("", "<broadcast>")
_ALL_NUMERIC = _stdlib.NI_NUMERICHOST | _stdlib.NI_NUMERICSERV


def getaddrinfo(host: Host, port: Port, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
    """As `socket.getaddrinfo`: `(family, type, proto, canonical name, address)` for each way to reach `host`.

    Raises `gaierror` when the name is not known or nobody answers.
    """
    if _asks_nobody(host, port, flags):
        return list(_stdlib.getaddrinfo(host, port, family, type, proto, flags))  # type: ignore[arg-type]
    # The attribute is read at each call: tests replace the function by a slow one.
    return list(_in_thread(_stdlib.getaddrinfo, host, port, family, type, proto, flags))


def gethostbyname(hostname: str) -> str:
    """As `socket.gethostbyname`: one IPv4 address. Raises `gaierror`."""
    if _is_numeric(hostname, _stdlib.AF_INET):
        return _stdlib.gethostbyname(hostname)
    return _in_thread(_stdlib.gethostbyname, hostname)


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyname_ex`: name, aliases, IPv4 addresses. Raises `gaierror`."""
    return _in_thread(_stdlib.gethostbyname_ex, hostname)


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyaddr`: name, aliases, addresses. Raises `herror`, or `gaierror` for a bad address."""
    return _in_thread(_stdlib.gethostbyaddr, ip_address)


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """As `socket.getnameinfo`: host and port as names, or as digits if `flags` ask for them. Raises `gaierror`."""
    if flags & _ALL_NUMERIC == _ALL_NUMERIC:
        return _stdlib.getnameinfo(sockaddr, flags)
    return _in_thread(_stdlib.getnameinfo, sockaddr, flags)


def getfqdn(name: str = "") -> str:
    """As `socket.getfqdn`: the full name of `name`, or of this machine. Returns `name` if none is known."""
    return _in_thread(_stdlib.getfqdn, name)


def resolve(address: Any, family: int) -> Any:
    """Return a socket address with the host name replaced by its first numeric address in `family`.

    An address without a name is returned unchanged, even if it is malformed: the system call will say what is wrong.
    Raises `gaierror`.
    """
    # Otherwise the socket module would look the name up, and block the thread.
    if family not in _INTERNET or not isinstance(address, tuple) or len(address) < 2:
        return address
    host = address[0]
    if not isinstance(host, str | bytes | bytearray) or host in _WILDCARDS or _is_numeric(host):
        return address
    found = getaddrinfo(bytes(host) if isinstance(host, bytearray) else host, None, family)[0][4]
    # An IPv6 name may have its own scope ("fe80::1%eth0").
    return (found[0], address[1], *(address[2:] or found[2:]))


def _asks_nobody(host: Host, port: Port, flags: int) -> bool:
    # The name of a service may be looked up by NIS or LDAP, digits never.
    numeric_port = port is None or isinstance(port, int) or (isinstance(port, str | bytes) and port.isdigit())
    return numeric_port and (host is None or bool(flags & _stdlib.AI_NUMERICHOST) or _is_numeric(host))


def _is_numeric(host: Any, *families: int) -> bool:
    """True for an address in strict notation. False when in doubt (`127.1`, a scope, a wrong type)."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("latin-1")
    if not isinstance(host, str):
        return False
    for family in families or _INTERNET:
        try:
            _stdlib.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return True
    return False


def _in_thread(function: Callable[..., T], *args: Any) -> T:
    result: T = get_hub().threadpool.apply(function, args)
    return result
