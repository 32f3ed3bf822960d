"""SQL for many rows at a time.

One statement for many rows, because Python's `sqlite3` takes the interpreter's lock again after each: beside a busy
loop, a thousand short statements take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["chunks", "insert", "marks", "storable"]

# Rows in one statement: SQLite takes 32,766 parameters in all.
_CHUNKS = (250, 25, 1)

T = TypeVar("T")


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut `items` into pieces of few sizes: for each size one statement is compiled."""
    start = 0
    for size in _CHUNKS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def insert(table: str, columns: Sequence[str], on_conflict: str) -> dict[int, str]:
    """The statements that insert a chunk of rows, by the size of the chunk."""
    row = f"({marks(columns)})"
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
    return {size: f"{head}{', '.join([row] * size)} {on_conflict}" for size in _CHUNKS}


def marks(items: Sequence[object]) -> str:
    """A parameter for each of the items: `?, ?`."""
    return ", ".join("?" * len(items))


def storable(text: str) -> str:
    r"""The text as SQLite can hold it: `\udc80` for a byte that is no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
