"""What a client may ask of a server: how much, how many, how long."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds on one server's clients; each keeps somebody from holding what others need.

    Raises `ValueError` for what is not above zero.
    """

    connections: int = 1000
    """Connections at once; further clients wait in the listener's queue."""
    header_bytes: int = 65536
    """Bytes of one request's head, and of what may surround a chunked body's data."""
    header_count: int = 100
    """Headers of one request."""
    header_timeout: float = 30.0
    """Seconds from a request's first byte to the end of its head."""
    body_bytes: int | None = None
    """Bytes of one request's body; None: no bound."""
    body_timeout: float = 30.0
    """Seconds that reading a body may wait for its client, apart from what its size allows."""
    body_rate: float = 500.0
    """Bytes of body that earn one more second of waiting: who sends more slowly is given up."""
    idle_timeout: float = 60.0
    """Seconds that a connection may wait for its next request."""
    send_timeout: float = 60.0
    """Seconds that sending an answer may go on without the client taking any of it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "body_bytes":
                continue
            if not value > 0:
                raise ValueError(f"Limits.{field.name} is a number above 0, got {value!r}")
