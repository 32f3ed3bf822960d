"""Who the client is, and by which name it called: from the connection, or as a proxy that is trusted says."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from gcron.frozen import frozen

__all__ = ["Caller", "Proxies", "caller_of", "host_name", "is_address", "read_proxies"]

_UNIX = "unix"
# A client of IPv6 has at least so many bits of addresses of its own.
_PREFIX_OF_CLIENT = 64


@frozen
class Caller:
    """One request's client."""

    address: str
    """Of the client: what counts wrong tokens. Empty for a Unix socket."""
    scheme: str
    host: str
    """As the client wrote it, with the port, in lower case; empty when it wrote none."""

    @property
    def origin(self) -> str:
        """What a browser sends as `Origin` with a request of our own pages."""
        return f"{self.scheme}://{self.host}"

    @property
    def network(self) -> str:
        """The address, of IPv6 the network that one client has."""
        try:
            address = ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, IPv4Address):
            return self.address
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((address, _PREFIX_OF_CLIENT), strict=False))


@frozen
class Proxies:
    """The proxies whose headers are believed."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False
    """Also those that come through the Unix socket."""

    def include(self, address: str) -> bool:
        """Whether this is the address of one of them. Empty: a client of the Unix socket."""
        if not address:
            return self.unix
        try:
            found: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


def read_proxies(text: str) -> Proxies:
    """Read addresses and networks, separated by commas; `unix` for those of a Unix socket. Raises ValueError."""
    networks = []
    for word in text.split(","):
        if word == _UNIX:
            continue
        try:
            networks.append(ip_network(word))
        except ValueError as error:
            raise ValueError(f"{word!r} is no address, no network such as 10.0.0.0/8, and not unix: {error}") from None
    return Proxies(tuple(networks), _UNIX in text.split(","))


def caller_of(environ: Mapping[str, Any], proxies: Proxies | None) -> Caller:
    """The client of a request. Headers of a proxy count only if it is one of `proxies`."""
    address = environ.get("REMOTE_ADDR", "")
    host = environ.get("HTTP_HOST", "").lower()
    scheme = "http"
    if proxies is None or not proxies.include(address):
        return Caller(address, scheme, host)
    # Each proxy appends the address of its client. Read from the end: what comes before our own proxies may be forged.
    for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not is_address(hop.strip()):
            break
        address = hop.strip()
        if not proxies.include(address):
            break
    if environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower() == "https":
        scheme = "https"
    return Caller(address, scheme, environ.get("HTTP_X_FORWARDED_HOST", "").strip().lower() or host)


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    name, found, port = host.rpartition(":")
    if found and port.isascii() and port.isdigit() and not name.endswith(":"):
        host = name if name.startswith("[") or ":" not in name else host
    return host.strip("[]").removesuffix(".")


def is_address(text: str) -> bool:
    """Whether it is the address of a machine, by its numbers."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
