"""Which values of MAILFROM a mail can come from. Pure."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["is_sender"]

# A user of this machine, as cron allows it. As text: `re` compiles it at its first use.
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"


def is_sender(text: str) -> bool:
    """Whether a mail can come from it: one address, with or without a display name, or the name of a user.

    >>> is_sender("Backups <backup@example.com>"), is_sender("root"), is_sender("not an address")
    (True, True, False)
    """
    if re.fullmatch(_USER, text):
        return True
    from email.headerregistry import HeaderRegistry  # 20 ms of a start, and rarely needed

    try:
        header: Any = HeaderRegistry()("From", text)
    except Exception:  # a ValueError for a newline; and `email` itself fails for some: an IndexError for `a@`
        return False
    return len(header.addresses) == 1 and not header.defects and bool(header.addresses[0].domain)
