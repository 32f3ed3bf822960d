"""Values that a seed decides: the same on every host and after every restart, as long as the seed is the same."""

from __future__ import annotations

try:
    # hashlib gives the same one, but loads OpenSSL: 4 MB of memory and 5 ms of every start. `random` does so too.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["digest", "seeded_value"]


def seeded_value(purpose: str, low: int, high: int, seed: str) -> int:
    """Return a number from `low` to `high`, both included, spread evenly over the seeds.

    The numbers for two purposes are independent of each other.
    """
    return low + int.from_bytes(digest(f"{purpose}\0{seed}", 8), "big") % (high - low + 1)


def digest(text: str, size: int) -> bytes:
    """Return the BLAKE2b hash of the text, `size` bytes long (1 to 64). Surrogates count as the bytes they carry."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=size).digest()
