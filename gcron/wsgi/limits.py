"""Limits on what clients may ask of a server: how much, how many, how long."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gcron.errors import ArgumentError

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits on the clients of one server. Each prevents that one client holds what others need.

    Raises `ArgumentError` for values that are not above 0.
    """

    connections: int = 1000
    """Connections at once. Further clients wait in the listener's queue."""
    header_bytes: int = 65536
    """Bytes of one request's head, and of the framing of a chunked body."""
    header_count: int = 100
    """Headers of one request."""
    header_timeout: float = 30.0
    """Seconds from a request's first byte to the end of its head."""
    body_bytes: int | None = None
    """Bytes of one request's body. None: no limit."""
    body_timeout: float = 30.0
    """Seconds that reading a body may wait for its client, in addition to what `body_rate` allows."""
    body_rate: float = 500.0
    """Bytes of body that allow one more second of waiting. Slower clients are given up."""
    idle_timeout: float = 60.0
    """Seconds that a connection may wait for its next request."""
    send_timeout: float = 60.0
    """Seconds that sending an answer may wait while the client accepts none of it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "body_bytes":
                continue
            if not value > 0:
                raise ArgumentError(f"Limits.{field.name} is a number above 0, got {value!r}")
