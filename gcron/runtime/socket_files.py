"""Files of Unix sockets: those that a program has left behind are removed."""

from __future__ import annotations

import errno
import os
import socket as _stdlib
import stat

__all__ = ["remove_dead_socket"]


def remove_dead_socket(path: str, address: str | None = None) -> None:
    """Remove the file of a Unix socket on which nobody listens any more; does nothing when there is no file.

    `address`: what to connect to, for a path that is longer than a socket's address may be. Raises OSError (EADDRINUSE)
    for a file of another kind, and for a socket on which somebody listens.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, "is no socket, and is not replaced by one", path)
    with _stdlib.socket(_stdlib.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(address or path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "somebody listens on this socket", path)
    os.unlink(path)
