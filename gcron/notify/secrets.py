"""Secrets: URLs and keys that stand in files or in the environment, and what of a URL may be shown.

Files are read when a message is delivered, in its thread: a secret can be changed without a reload, and a file system
that hangs stops only this target.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping, Set
from urllib.parse import unquote, urlsplit

from gcron.crontab import CrontabError, Target
from gcron.crontab.source import read
from gcron.crontab.target import VARIABLE
from gcron.notify.delivery import DeliveryError

__all__ = ["find_missing", "has_secret_of", "read_secret", "read_text", "shown_url", "url_of"]

_NOBODY: Set[int] = frozenset()
# Characters of a URL in a row that give it away, and the shortest part of a path that may be a secret.
_TELLING, _SHORTEST = 8, 4


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


def find_missing(targets: Iterable[Target], owners: Set[int] = _NOBODY) -> str:
    """Return a line for each file of these targets that cannot be read now. May hang."""
    found = []
    for target in targets:
        for key in ("url-file", "secret-file", "body-file"):
            path = getattr(target, key.replace("-", "_"))
            try:
                if path:
                    read_text(path, owners)
            except DeliveryError as error:
                found.append(
                    f"{target.path}:{target.line}: the target {target.name}: {key}: {error}: no message can be sent to "
                    "it. The file is read again for each message; gcron notify FILE TARGET tries it"
                )
    return "\n".join(found)


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


def has_secret_of(url: str, text: str) -> bool:
    """Whether a text, such as a server's answer, has a part of a web address that may be a secret.

    Such are the parts of path and query, user, and password, as they are, decoded, and as the header has them.

    >>> has_secret_of("https://a.example/services/T0BX81", "no such hook: /services/t0bx81")
    True
    """
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    pieces = [piece for piece in re.split("[/?&=;]", f"{parts.path}?{parts.query}") if len(piece) >= _SHORTEST]
    pieces += filter(None, userinfo.split(":"))
    pieces += map(unquote, tuple(pieces))
    if userinfo:
        pieces.append(base64.b64encode(unquote(userinfo).encode()).decode())
    low = text.lower()
    return any(
        piece[start : start + _TELLING] in low
        for piece in map(str.lower, pieces)
        for start in range(max(1, len(piece) - _TELLING + 1))
    )


def shown_url(url: str) -> str:
    """Return what of a URL may be shown: scheme and host of a web address, an address of mail, else the scheme.

    >>> shown_url("https://me:secret@hooks.example:8443/services/T0/B0/secret")
    'https://hooks.example:8443'
    >>> shown_url("slack://secret/secret/secret")
    'slack://'
    """
    if url.lower().startswith("mailto:"):
        address = url.partition(":")[2].lstrip("/").partition("?")[0]
        # A colon: somebody has put a password in, as Apprise's own URLs for mail have one.
        return "mailto:" + (address.rpartition("@")[2] if ":" in address else address)
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
