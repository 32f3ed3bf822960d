"""The style, the script and the icon: files of this package, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from gcron.web.answers import Answer, Refusal

__all__ = ["find_static", "version_of"]

_KINDS = {
    "gcron.css": "text/css; charset=utf-8",
    "gcron.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_DIRECTORY = os.path.join(os.path.dirname(__file__), "static")
_LONG, _SHORT = "public, max-age=31536000, immutable", "public, max-age=300"


def find_static(path: str, environ: Mapping[str, Any]) -> Answer:
    """The file of that name. Raises Refusal for another name."""
    name = path.removeprefix("/static/")
    if name not in _KINDS or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise Refusal(HTTPStatus.NOT_FOUND, "no-such-page", "there is no such file")
    keep = _LONG if environ.get("QUERY_STRING") == version_of(name) else _SHORT
    return Answer(_read(name), _KINDS[name], headers=(("Cache-Control", keep),))


@cache
def version_of(name: str) -> str:
    """A query that changes with the file: browsers keep what they have, until it is another one."""
    return sha256(_read(name)).hexdigest()[:8]


@cache
def _read(name: str) -> bytes:
    with open(os.path.join(_DIRECTORY, name), "rb") as file:
        return file.read()
