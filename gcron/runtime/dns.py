"""Names to addresses and back, without stopping the loop.

The standard library's look-ups block: they run in the hub's thread pool, eight at a time, while other greenlets go
on. What certainly asks nobody (a numeric host with a numeric port) is answered at once, without a thread. Arguments,
results and errors (`gaierror`, `herror`) are the standard library's own. A caller that is killed or timed out leaves
at once; its look-up ends by itself in its thread.

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
# The empty host means any address, and this one the broadcast address, where a socket address is expected.
_WILDCARDS = ("", "<broadcast>")
_ALL_NUMERIC = _stdlib.NI_NUMERICHOST | _stdlib.NI_NUMERICSERV


def getaddrinfo(host: Host, port: Port, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
    """As `socket.getaddrinfo`: `(family, type, proto, canonical name, address)` for each way to reach `host`.

    Raises `gaierror` when the name is not known or nobody answers.
    """
    if _asks_nobody(host, port, flags):
        return list(_stdlib.getaddrinfo(host, port, family, type, proto, flags))  # type: ignore[arg-type]
    # Looked up at call time: tests put a slow function in its place.
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
    """As `socket.getnameinfo`: host and port as words, or as digits where `flags` say so. Raises `gaierror`."""
    if flags & _ALL_NUMERIC == _ALL_NUMERIC:
        return _stdlib.getnameinfo(sockaddr, flags)
    return _in_thread(_stdlib.getnameinfo, sockaddr, flags)


def getfqdn(name: str = "") -> str:
    """As `socket.getfqdn`: the full name of `name`, or of this machine; `name` itself when none is known."""
    return _in_thread(_stdlib.getfqdn, name)


def resolve(address: Any, family: int) -> Any:
    """Return a socket address with the host name replaced by its first numeric address in `family`.

    What has no name in it comes back unchanged, even when it is malformed: the system call says what is wrong.
    Raises `gaierror`.
    """
    # Left to itself, the system call's wrapper would look the name up while the whole thread waits.
    if family not in _INTERNET or not isinstance(address, tuple) or len(address) < 2:
        return address
    host = address[0]
    if not isinstance(host, str | bytes | bytearray) or host in _WILDCARDS or _is_numeric(host):
        return address
    found = getaddrinfo(bytes(host) if isinstance(host, bytearray) else host, None, family)[0][4]
    # An IPv6 name may bring its own scope ("fe80::1%eth0").
    return (found[0], address[1], *(address[2:] or found[2:]))


def _asks_nobody(host: Host, port: Port, flags: int) -> bool:
    # The name of a service may be asked of NIS or LDAP; digits never are.
    numeric_port = port is None or isinstance(port, int) or (isinstance(port, str | bytes) and port.isdigit())
    return numeric_port and (host is None or bool(flags & _stdlib.AI_NUMERICHOST) or _is_numeric(host))


def _is_numeric(host: Any, *families: int) -> bool:
    """True for the strict notation of an address; False when in doubt (`127.1`, a scope, a wrong type)."""
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
