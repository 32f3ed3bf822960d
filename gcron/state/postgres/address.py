"""The address of a database: what people see of it, without its password, and what is wrong with it.

This module must not import `psycopg`, which takes a tenth of a second.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from gcron.errors import StateError

__all__ = ["name_of_schema", "passwords_of", "shown"]

_SECRETS = {"password", "sslpassword", "passfile", "oauth_client_secret"}
# PostgreSQL cuts off what is longer (NAMEDATALEN).
_LONGEST_SCHEMA = 63


def shown(url: str) -> str:
    """The URL without its password.

    >>> shown("postgresql://ann:secret@db.example/jobs?sslmode=require&password=secret")
    'postgresql://ann@db.example/jobs?sslmode=require'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRETS], safe="/")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}{'?' if query else ''}{query}"


def passwords_of(url: str) -> list[str]:
    """What no message may show, the longest first."""
    parts = urlsplit(url)
    found = [parts.netloc.rpartition("@")[0].partition(":")[2]]
    found += [value for name, value in parse_qsl(parts.query) if name in _SECRETS]
    return sorted({text for secret in found for text in (secret, unquote(secret)) if text}, key=len, reverse=True)


def name_of_schema(instance: str | None) -> str:
    """The schema of an instance; None: of the one that has no name. Raises StateError."""
    schema = "gcron" if instance is None else f"gcron_{instance}"
    if len(schema.encode()) > _LONGEST_SCHEMA:
        longest = _LONGEST_SCHEMA - len("gcron_")
        raise StateError(f"{instance} is too long for a name in PostgreSQL: give --instance at most {longest} letters")
    return schema
