"""Reads time zones from the system's files, which may be broken: an update of the tz database that was cut off.

`zoneinfo` reads the end of such a file forever, or raises what its documentation does not name.
"""

from __future__ import annotations

import os
import zoneinfo
from io import BytesIO
from zoneinfo import ZoneInfo

__all__ = ["load_zone", "read_zone"]

_HEADER = 44
_MAGIC = b"TZif"


def load_zone(name: str) -> ZoneInfo:
    """Return the zone of this name in the tz database. Raises ValueError when there is none, or its file is broken."""
    for directory in zoneinfo.TZPATH:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                _check_end(file.read(), path)
            break
    try:
        return ZoneInfo(name)
    except Exception as error:  # for a broken file: struct.error, EOFError, UnicodeDecodeError
        raise ValueError(f"no time zone {name!r}: {error}") from None


def read_zone(path: str) -> ZoneInfo:
    """Return the zone that a file holds. Raises ValueError when it holds none, OSError when it cannot be read."""
    with open(path, "rb") as file:
        data = file.read()
    _check_end(data, path)
    try:
        return ZoneInfo.from_file(BytesIO(data), key=path)
    except Exception as error:
        raise ValueError(f"{path} is no file of a time zone: {error}") from None


def _check_end(data: bytes, path: str) -> None:
    """Check that the last line is there, which all versions of the format but the first have (RFC 8536)."""
    if data[:4] != _MAGIC:
        raise ValueError(f"{path} is no file of a time zone")
    if data[4:5] == b"\0":
        return
    second = _HEADER + _block_size(data, 4)
    footer = data[second + _HEADER + _block_size(data[second:], 8) :]
    if len(footer) < 2 or not (footer.startswith(b"\n") and footer.endswith(b"\n")):
        raise ValueError(f"{path} is cut off")


def _block_size(data: bytes, time_size: int) -> int:
    """Bytes of the block after the header that `data` begins with."""
    counts = [int.from_bytes(data[at : at + 4], "big") for at in range(20, _HEADER, 4)]
    ut_marks, standard_marks, leaps, times, types, characters = counts
    return ut_marks + standard_marks + leaps * (time_size + 4) + times * (time_size + 1) + types * 6 + characters
