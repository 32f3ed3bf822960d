"""The address of a database: what people see of it, without its password, and what is wrong with it.

This module must not import `psycopg`, which takes a tenth of a second.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from gcron.errors import StateError

__all__ = ["name_of_schema", "passwords_of", "shown"]

# PostgreSQL cuts off what is longer (NAMEDATALEN).
_LONGEST_SCHEMA = 63


def shown(url: str) -> str:
    """The URL without its password. Any text will do: a URL that makes no sense may have one, too.

    >>> shown("postgresql://ann:secret@db.example/jobs?sslmode=require&password=secret")
    'postgresql://ann@db.example/jobs?sslmode=require'
    """
    parts = _split(url)
    query = "&".join(each for each in parts.parameters if not _is_secret(each))
    text = f"{parts.scheme}{parts.user}{parts.place}{'?' if query else ''}{query}"
    return "".join(each for each in text if each.isprintable())


def passwords_of(url: str) -> list[str]:
    """What no message may show, the longest first."""
    parts = _split(url)
    # libpq reads it up to the first `@`, and takes the rest as a host.
    found = [parts.password, *parts.password.split("@")]
    found += [each.partition("=")[2] for each in parts.parameters if _is_secret(each)]
    texts = {text for secret in found for text in (secret, unquote(secret), unquote_plus(secret)) if text}
    return sorted(texts, key=len, reverse=True)


class _Parts(NamedTuple):
    """A URL as libpq reads it: a password may have `#`, `?` and `[` in it, which end or spoil that of other URLs."""

    scheme: str
    user: str
    """With its `@`."""
    password: str
    place: str
    """Hosts and database."""
    parameters: list[str]


def _split(url: str) -> _Parts:
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if "@" not in authority and ":" in authority and "@" in path.partition("?")[0]:
        # libpq takes what is before the `/` as a host and its port: somebody has not encoded a password.
        database, question, query = path.partition("?")
        more, _, database = database.rpartition("@")
        authority, slash, path = f"{authority}/{more}@", "", f"{database}{question}{query}"
    credentials, at, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    place, _, query = f"{hosts}{slash}{path}".partition("?")
    return _Parts(f"{scheme}{slashes}", f"{user}{at}", password, place, query.split("&") if query else [])


def _is_secret(parameter: str) -> bool:
    """`password`, `sslpassword`, `passfile`, `oauth_client_secret`, and what somebody has mistyped."""
    name = unquote(parameter.partition("=")[0]).casefold()
    return "pass" in name or "secret" in name


def name_of_schema(instance: str | None) -> str:
    """The schema of an instance; None: of the one that has no name. Raises StateError."""
    schema = "gcron" if instance is None else f"gcron_{instance}"
    if len(schema.encode()) > _LONGEST_SCHEMA:
        longest = _LONGEST_SCHEMA - len("gcron_")
        raise StateError(f"{instance} is too long for a name in PostgreSQL: give --instance at most {longest} letters")
    return schema
