"""Lists on several pages: which page a query asks for, and what is on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["items_on", "page_count", "page_number"]

T = TypeVar("T")

_MOST_PAGES = 1000


def page_number(query: Mapping[str, str]) -> int:
    """The page that a query asks for, from 1 on; 1 when it asks for none."""
    page = query.get("page", "")[:5]
    return int(page) if page.isascii() and page.isdigit() and 0 < int(page) <= _MOST_PAGES else 1


def items_on(page: int, items: Sequence[T], size: int) -> Sequence[T]:
    """What is on a page, which has room for `size`."""
    return items[(page - 1) * size : page * size]


def page_count(total: int, size: int) -> int:
    """How many pages there are; an empty list has one."""
    return max(1, -(-total // size))
