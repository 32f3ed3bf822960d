"""Values drawn by lot that stay the same: on every host, after every restart, while the seed is the same."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["draw"]


def draw(purpose: str, low: int, high: int, seed: str) -> int:
    """Return a number from `low` to `high`, both included; what is drawn for other purposes tells nothing of it."""
    digest = blake2b(f"{purpose}\0{seed}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return low + int.from_bytes(digest, "big") % (high - low + 1)
