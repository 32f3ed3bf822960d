"""Names for the jobs that give none: readable, unique in the file, the same as long as the command is the same.

A name comes from the command alone, so a job keeps its history, and its place in `overlap`, when its schedule is
edited. A command that is one plain word is its own name. Any other gives its first words and six digits of its hash:
commands that look alike never share a name, nor swap names when one of them goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gcron.schedule.seeded import digest

__all__ = ["Names"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,39}")
_READ = 200
"""Characters of the command in which its program is looked for."""
_LENGTH, _LENGTH_READ = 32, 40
# For bytes.translate: what is no letter, digit, `_` or `.` separates words.
_WORDS = bytes(code if chr(code).isalnum() or chr(code) in "_." else 32 for code in range(128)) + b" " * 128


class Names:
    """The names of one file's jobs. Gives each derived name once, and none that is in `explicit`."""

    def __init__(self, explicit: Iterable[str] = ()) -> None:
        self._taken = set(explicit)
        self._count: dict[str, int] = {}

    def derive(self, command: str) -> str:
        """Return a name for the job with this command. The second of the same name ends in `-2`, the third in `-3`."""
        base = _base(command)
        name = base
        while name in self._taken:
            # Counted on from the last one given, or 100,000 equal lines would look 5,000,000,000 times.
            self._count[base] = number = self._count.get(base, 1) + 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name


def _base(command: str) -> str:
    if " " not in command and _PLAIN.fullmatch(command):
        return command
    # HOT PATH: the program without its directories, and as many of the next words as fit.
    head = command[:_READ]
    start = head.partition(" ")[0].rfind("/") + 1
    text = head[start : start + _LENGTH_READ].encode("ascii", "replace")
    words = b"-".join(text.translate(_WORDS).split())
    return f"{words[:_LENGTH].strip(b'-.').decode() or 'job'}-{digest(command, 3).hex()}"
