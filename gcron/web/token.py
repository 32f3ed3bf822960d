"""The token of the pages: made once, kept beside the history, or read from a file of one's own."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from gcron.web.errors import HttpError

__all__ = ["SHORTEST", "TOKEN_FILE", "keep_token", "new_token", "read_token_file"]

TOKEN_FILE = "http-token"
SHORTEST = 16
"""Characters of a token that somebody chose."""
_BYTES = 24
_MOST_BYTES = 4096
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def new_token() -> str:
    """A token that nobody can guess."""
    return os.urandom(_BYTES).hex()


def keep_token(directory: str) -> str:
    """The token of this directory, which is made if there is none. Raises HttpError."""
    path = os.path.join(directory, TOKEN_FILE)
    try:
        return _read_own(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise HttpError(f"the token for --http cannot be read: {path}: {error.strerror or error}") from None
    token = new_token()
    try:
        _write(path, token)
    except OSError as error:
        raise HttpError(f"the token for --http cannot be kept: {path}: {error.strerror or error}") from None
    return token


def _read_own(path: str) -> str:
    """Read the file that `_write` made. Raises OSError, and HttpError when others can read or change it."""
    fd = os.open(path, _READ | os.O_NOFOLLOW)
    with open(fd, encoding="ascii", errors="replace") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise HttpError(f"{path} is not only yours: remove it, and a new token is made at the next start")
        return _checked(file.read(_MOST_BYTES).strip(), path)


def _write(path: str, token: str) -> None:
    """Write the whole file at once: half a token would be one that can be guessed."""
    made = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(made)
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    os.replace(made, path)


def read_token_file(path: str) -> str:
    """The token that a file holds, without blanks around it. Raises HttpError."""
    try:
        with open(os.open(path, _READ), encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise HttpError(f"--http-token-file {path}: {error.strerror or error}") from None
    return _checked(text.strip(), f"--http-token-file {path}")


def _checked(token: str, where: str) -> str:
    if len(token) < SHORTEST or len(token) > _MOST_BYTES or not (token.isascii() and token.isprintable()):
        text = f"a token is one line of {SHORTEST} or more characters of ASCII; `openssl rand -hex 24` makes one"
        raise HttpError(f"{where}: {text}")
    if " " in token:
        raise HttpError(f"{where}: a token has no blanks")
    return token
