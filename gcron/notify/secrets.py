"""Secrets: URLs and keys that stand in files or in the environment, and what of a URL may be shown.

Files are read when a message is delivered, in its thread: a secret can be changed without a reload, and a file system
that hangs stops only this target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Set
from urllib.parse import urlsplit

from gcron.crontab import CrontabError, Target
from gcron.crontab.source import read
from gcron.crontab.target import VARIABLE
from gcron.notify.delivery import DeliveryError

__all__ = ["read_secret", "read_text", "shown_url", "url_of"]

_NOBODY: Set[int] = frozenset()


def url_of(target: Target, owners: Set[int] = _NOBODY, variables: Mapping[str, str] = os.environ) -> str:
    """Return the URL of a target, read from its file or with its variables put in. Raises DeliveryError."""
    if target.url_file:
        return read_secret(target.url_file, owners)

    def value_of(match: re.Match[str]) -> str:
        value = variables.get(match[1])
        if value is None:
            raise DeliveryError(f"gcron's environment has no variable {match[1]}", final=True)
        return value

    return re.sub(VARIABLE, value_of, target.url)


def read_secret(path: str, owners: Set[int] = _NOBODY) -> str:
    """Return the one line of a file. Raises DeliveryError."""
    secret = read_text(path, owners).strip()
    if not secret or "\n" in secret:
        raise DeliveryError(f"{path} holds no secret: one line is expected")
    return secret


def read_text(path: str, owners: Set[int] = _NOBODY) -> str:
    """Return a file's text. The rules for crontab files hold: for root, it belongs to root or `owners`. May hang.

    Raises DeliveryError, without anything of what is in the file.
    """
    try:
        return read(path, owners).decode("utf-8")
    except CrontabError as error:
        raise DeliveryError(f"{path} {error.problems[0].message}") from None
    except UnicodeDecodeError:
        raise DeliveryError(f"{path} is no text in UTF-8") from None


def shown_url(url: str) -> str:
    """Return what of a URL may be shown: scheme and host of a web address, an address of mail, else the scheme.

    >>> shown_url("https://me:secret@hooks.example:8443/services/T0/B0/secret")
    'https://hooks.example:8443'
    >>> shown_url("slack://secret/secret/secret")
    'slack://'
    """
    if url.startswith("mailto:"):
        return "mailto:" + url.removeprefix("mailto:").lstrip("/").partition("?")[0]
    try:
        parts = urlsplit(url)
        if (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "$" not in url.partition("://")[2].partition("/")[0]
        ):
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
        return f"{parts.scheme}://" if parts.scheme else "a URL"
    except ValueError:
        return "a URL"
