"""What the command line decides about the pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gcron.frozen import frozen

if TYPE_CHECKING:
    from gcron.web.forwarded import Proxies

__all__ = ["ANONYMOUS", "HttpSettings", "read_host", "read_prefix"]

ANONYMOUS = ("none", "health", "metrics", "read")
"""What those may ask who show no token; each includes the ones before it."""
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")


@frozen
class HttpSettings:
    """Options that begin with `--http-`."""

    anonymous: str = "health"
    """One of `ANONYMOUS`."""
    prefix: str = ""
    """`/cron`: where a proxy shows the pages; empty for its root."""
    hosts: frozenset[str] = frozenset()
    """Names by which clients may call it, besides those of its address; in lower case."""
    proxies: Proxies | None = None
    """Whose X-Forwarded-… headers are believed."""


def read_prefix(text: str) -> str:
    """Read `/cron`. Raises ValueError."""
    prefix = text.rstrip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or "/." in prefix):
        raise ValueError(f"{text!r} is no prefix: it begins with a slash, such as /cron")
    return prefix


def read_host(text: str) -> frozenset[str]:
    """Read the names of hosts, separated by commas, without ports. Raises ValueError."""
    names = text.lower().split(",")
    for name in names:
        if not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is no host, such as cron.example.org (without a port)")
    return frozenset(name.strip("[]") for name in names)
