"""Addresses of mail: who gets it by MAILTO, and which values of MAILFROM it can come from. Pure."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["address_in", "addressees", "is_sender"]

# A user of this machine, as cron allows it. As text: `re` compiles it at its first use.
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_PLAIN = rf"{_USER}(?:@[A-Za-z0-9.-]+)?"
# Mail programs take these for a command, a file, a list in a file, and an option.
_NO_ADDRESS = ("|", "/", ":", "-", "\\")
# The one defect of a header's address that is none here: a user of this machine.
_NO_DOMAIN = "with no domain"


def addressees(text: str) -> list[str]:
    """Return the addresses of a text, separated by commas or blanks; none if a part of it is no address.

    A name of this machine's users is one, as in cron.

    >>> addressees("ops@example.com,root"), addressees("|/bin/sh"), addressees("ops@")
    (['ops@example.com', 'root'], [], [])
    """
    words = text.replace(",", " ").split()
    if all(re.fullmatch(_PLAIN, word) for word in words):
        return words
    from email.headerregistry import HeaderRegistry

    try:
        header: Any = HeaderRegistry()("To", text)
        known = [address for group in header.groups for address in group.addresses if group.display_name is None]
        mistakes = [defect for defect in header.defects if _NO_DOMAIN not in str(defect)]
        is_right = not mistakes and len(known) == len(header.addresses)
    except Exception:  # a ValueError for a newline; and `email` itself fails for some: an IndexError for `a@`
        return []
    found = [address.addr_spec for address in known]
    is_safe = all(address.username and not address.username.startswith(_NO_ADDRESS) for address in known)
    return found if is_right and is_safe else []


def address_in(url: str) -> str:
    """Return the address of a `mailto:` URL, decoded and without its query.

    >>> address_in("mailto:ops%2Bcron@example.com?subject=x")
    'ops+cron@example.com'
    """
    from urllib.parse import unquote  # slow to import, and rarely needed

    return unquote(url.partition(":")[2].lstrip("/").partition("?")[0])


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
