"""Whether there is room for another process, and for gcron itself beside it."""

from __future__ import annotations

import errno
import os
import resource

__all__ = ["NO_ROOM", "check_room"]

NO_ROOM = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of a start that the end of something else may mend."""
# Descriptors kept free for the log, for reading files again, and for the hub.
_RESERVE = 24


def check_room() -> None:
    """Raise OSError (EMFILE) when another process would take the last file descriptors, which are gcron's own."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The lowest is enough to know: the higher ones are only ever taken while there is none below.
    lowest_free = os.dup(2)
    os.close(lowest_free)
    if 0 <= limit <= lowest_free + min(_RESERVE, limit // 4):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
