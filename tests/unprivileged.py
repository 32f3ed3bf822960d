"""Programs that tests run without the rights of root, even if the tests have them."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

__all__ = ["as_user", "new_directory", "why_not_unprivileged"]

_USERS = ("postgres", "nobody")


def why_not_unprivileged() -> str:
    """Return why no program can be run like that here; empty if it can."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv(1), which starts programs as another user than root, is not installed"
    return ""


def as_user(*, dies_with_us: bool = False) -> list[str]:
    """Return the beginning of a command. With `dies_with_us` the program ends even if the tests are killed."""
    user = _user()
    switch = [] if user is None else [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    death = ["--pdeathsig=QUIT"] if dies_with_us and shutil.which("setpriv") else []
    return ["setpriv", *switch, *death] if switch or death else []


def new_directory(prefix: str) -> Path:
    """Make a directory that belongs to this user. Its path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    user = _user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(0o755)  # for the tests, if they are another user
    return path


def _user() -> pwd.struct_passwd | None:
    """Return the user, if it is not that of the tests."""
    if os.geteuid():
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LookupError(f"this machine has no user of {_USERS}")
