"""Memory for messages that wait: bounds for all channels together, and for each user's own.

Any user's crontab may ask for mail to a thousand addressees, and print 100 kB each second, while nothing takes mail.
This module does not know what a message is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

__all__ = ["Space"]

_MIB = 1024 * 1024


class Space:
    """Counts the bytes that wait, by owner: the user whose crontab asks for the messages, or an empty text for others.

    Each user may have `per_user` bytes, and all users together `all_users`; what is no user's has `others` for itself.
    `say` gets a line when an owner has no room any more, and one with the numbers when there is room again.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        per_user: int = 8 * _MIB,
        all_users: int = 32 * _MIB,
        others: int = 32 * _MIB,
    ) -> None:
        self._say = say
        self._per_user = per_user
        self._all_users = all_users
        self._others = others
        self._used: Counter[str] = Counter()
        self._used_by_users = 0
        self._cut: Counter[str] = Counter()
        """Messages that lost their output since the owner had no room."""

    def room(self, owner: str) -> int:
        """Return the bytes that are left for an owner."""
        if not owner:
            return self._others - self._used[owner]
        return min(self._per_user - self._used[owner], self._all_users - self._used_by_users)

    def change(self, owner: str, size: int) -> None:
        """Count `size` bytes more for an owner, or less if it is negative."""
        self._used[owner] += size
        if owner:
            self._used_by_users += size
        if self._cut[owner] and self.room(owner) > (self._per_user if owner else self._others) // 2:
            count = self._cut.pop(owner)
            self._say(f"notify: there is room again for messages{_of(owner)}; {count} lost their output")

    def report_cut(self, owner: str) -> None:
        """Count a message that lost its output, or more of it, because there was no room."""
        if not self._cut[owner]:
            used = self._used[owner] // 1024
            self._say(f"notify: {used} kB of messages{_of(owner)} wait: output is left out until there is room")
        self._cut[owner] += 1


def _of(owner: str) -> str:
    return f" of {owner}'s jobs" if owner else ""
