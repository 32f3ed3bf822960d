"""Values drawn by lot that stay the same: on every host, after every restart, while the seed is the same."""

from __future__ import annotations

try:
    # What hashlib gives, without OpenSSL behind it: 4 MB of memory and 5 ms of every start. `random` does the like.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["digest", "draw"]


def draw(purpose: str, low: int, high: int, seed: str) -> int:
    """Return a number from `low` to `high`, both included; what is drawn for other purposes tells nothing of it."""
    return low + int.from_bytes(digest(f"{purpose}\0{seed}", 8), "big") % (high - low + 1)


def digest(text: str, size: int) -> bytes:
    """`size` bytes (1 to 64) that stand for the text: BLAKE2b of its UTF-8, surrogates as bytes."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=size).digest()
