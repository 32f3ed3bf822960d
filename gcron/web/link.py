"""The link to the pages of a gcron that runs, for `gcron token`: a file beside its control socket, which is private."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress

from gcron.control.places import Running, make_place
from gcron.frozen import frozen

__all__ = ["Link", "read_link", "write_link"]

_FILE = "http.json"
_MOST_BYTES = 64 * 1024


@frozen
class Link:
    """How to reach the pages."""

    url: str
    """Without a token."""
    token: str

    def __str__(self) -> str:
        return f"{self.url}?token={self.token}"


def write_link(instance: str, link: Link) -> Callable[[], None]:
    """Write the file, and return what removes it. Raises OSError. It may hang as files do: call it in a thread."""
    path = os.path.join(make_place(instance), _FILE)
    made = f"{path}.new"
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        json.dump({"pid": os.getpid(), "url": link.url, "token": link.token}, file)
    os.replace(made, path)

    def remove() -> None:
        with suppress(OSError):
            os.unlink(path)

    return remove


def read_link(gcron: Running) -> Link | None:
    """The link to a gcron of this user; None when it serves no pages."""
    path = os.path.join(os.path.dirname(gcron.socket), _FILE)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = json.loads(file.read(_MOST_BYTES))
        if facts["pid"] != gcron.pid:
            return None  # of an earlier gcron that was killed
        return Link(str(facts["url"]), str(facts["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
