"""Notices that files may have changed: by inotify where there is one, and by a look at them every 10 s everywhere.

It watches each directory entry that decides where a path leads: the file's own, and those of symbolic links on the way
(Kubernetes changes a mounted file by renaming a link to its directory). This module must not know what is in the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gcron.frozen import frozen
from gcron.runtime.event import Event
from gcron.runtime.greenlet import sleep
from gcron.runtime.hub import READ, get_hub
from gcron.schedule.clock import SystemClock

__all__ = ["LOOK_EVERY", "FileWatch", "Snapshot"]

LOOK_EVERY = 10.0
"""Seconds between two looks when nothing reports a change: network file systems, bind mounts, renamed parents."""
# A change is reported after so many seconds without another one, and at the latest so many seconds after the first.
_QUIET, _LONGEST_STORM = 0.2, 1.6
# A file that changed within so many seconds before a look may change again and keep its status (man 7 inode: times have
# the granularity of the file system's clock). So another look is needed.
_GRANULARITY = 2.0
# The same for a local file system: the kernel's tick, 10 ms at most, and some more. A reader can wait that long.
_TICK = 0.03
# A file that was emptied less than so many seconds ago gets its new text now. On a busy machine, an editor may pause
# between the two, and no jobs at all would be left.
_EMPTY = 0.6
# The kernel follows as many links.
_MOST_LINKS = 40

_Place = tuple[str, str]
"""A directory, and a name in it; an empty name stands for all of them."""


@frozen(uncompared=("settled", "fresh"))
class Snapshot:
    """The state of the files at one look."""

    statuses: tuple[object, ...]
    settled: bool
    """False when one of them changed so shortly before that an equal snapshot proves nothing."""
    fresh: bool = False
    """True when one of them changed just now: somebody may be writing it."""


class FileWatch:
    """Watches `paths`: files, or directories with all that is in them. Descriptors are closed with the process."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        """The next look is at these; so what the files name can be watched, too, once they are read."""
        self._inotify: Any = None
        self._names: dict[int, set[str]] = {}
        """By watch descriptor."""

    def open(self, seen: Snapshot | None = None) -> bool:
        """Let the kernel report changes, if it can; False when the files may be no longer as `seen`.

        It takes 20 ms (inotify_simple runs ldconfig as it is imported) and may hang as files do: call it in a thread,
        and not before the first fire.
        """
        self._inotify = _open_inotify()
        now = self.look()
        return seen is not None and now == seen and not seen.fresh

    def look(self) -> Snapshot:
        """How the files stand now. Later changes are reported. It may hang as files do: call it in a thread."""
        if self._inotify is not None:
            self._watch_places()
        now = SystemClock().now()
        statuses = tuple(status for path in self.paths for status in _statuses(path))
        age = min((abs(now - changed) for status in statuses for changed in status[-2:]), default=_GRANULARITY * 2)
        fresh = age <= _TICK or any(_is_just_emptied(status, now) for status in statuses)
        return Snapshot(statuses, settled=age > _GRANULARITY, fresh=fresh)

    def wait(self) -> None:
        """Park until the files may have changed, and no change followed for a moment; or until a look is due."""
        hub = get_hub()
        if self._inotify is None:
            sleep(LOOK_EVERY)
            return
        deadline = hub.monotonic() + LOOK_EVERY
        while not self._is_reported(max(0.0, deadline - hub.monotonic())):
            if hub.monotonic() >= deadline:
                return
            sleep(_QUIET)  # somebody writes files beside ours, maybe without end
        deadline = hub.monotonic() + _LONGEST_STORM
        sleep(_QUIET)
        while self._is_reported(0) and hub.monotonic() < deadline:
            sleep(_QUIET)

    # -- inotify --------------------------------------------------------------------------------------------

    def _is_reported(self, timeout: float) -> bool:
        """Wait for reports; True when one of them is about our files."""
        if not timeout or _wait_readable(self._inotify.fd, timeout):
            return any(self._concerns_us(event) for event in self._inotify.read(timeout=0))
        return False

    def _concerns_us(self, event: Any) -> bool:
        flags = _flags()
        if event.mask & flags.IGNORED:  # the end of a watch: its cause was reported before
            return False
        names = self._names.get(event.wd)
        # An unknown watch: reports were lost (the queue is bounded), or are about a directory that is no longer ours.
        return names is None or not event.name or "" in names or event.name in names

    def _watch_places(self) -> None:
        flags = _flags()
        # Not MODIFY: a file that is being written cannot be used yet, and others beside it may be written all day.
        mask = flags.CLOSE_WRITE | flags.MOVED_FROM | flags.MOVED_TO | flags.CREATE | flags.DELETE | flags.ATTRIB
        mask |= flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        names: dict[int, set[str]] = {}
        for directory, name in _places(self.paths):
            try:
                names.setdefault(self._inotify.add_watch(directory, mask), set()).add(name)
            except OSError:
                continue  # not there (yet), or no watch is left for us: the looks every 10 s remain
        before, self._names = self._names, names
        for left in before.keys() - names.keys():
            try:
                self._inotify.rm_watch(left)
            except OSError:
                continue  # it went with its directory


def _open_inotify() -> Any:
    try:
        from inotify_simple import INotify

        return INotify(nonblocking=True)
    except (ImportError, AttributeError, TypeError, OSError):
        return None  # not Linux, or more instances than this user may have


def _flags() -> Any:
    from inotify_simple import flags

    return flags


def _wait_readable(fd: int, timeout: float) -> bool:
    readable = Event()
    watch = get_hub().io.watch(fd, READ, readable.set)
    try:
        return readable.wait(timeout)
    finally:
        watch.cancel()


# -- the file system --------------------------------------------------------------------------------------------


def _statuses(path: str) -> Iterator[tuple[Any, ...]]:
    """The status of a file, or of each in a directory; its last two items are times."""
    status = _status(path)
    yield status
    if stat.S_ISDIR(status[1]):
        for name in _listing(path):
            yield _status(os.path.join(path, name))


def _status(path: str) -> tuple[Any, ...]:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        return path, 0, str(error), 0.0, 0.0
    if stat.S_ISDIR(found.st_mode):  # its files say more than its times
        return path, found.st_mode, found.st_uid, 0.0, 0.0
    identity = found.st_dev, found.st_ino, found.st_uid, found.st_gid, found.st_size
    nanoseconds = found.st_mtime_ns, found.st_ctime_ns
    return path, found.st_mode, identity, nanoseconds, found.st_mtime, found.st_ctime


def _is_just_emptied(status: tuple[Any, ...], now: float) -> bool:
    return stat.S_ISREG(status[1]) and status[2][-1] == 0 and abs(now - status[-2]) < _EMPTY


def _listing(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _places(paths: Iterable[str]) -> Iterator[_Place]:
    for path in paths:
        yield from _way(path)
        if not os.path.isdir(path):
            continue
        yield path, ""
        for name in _listing(path):
            if os.path.islink(member := os.path.join(path, name)):
                yield from _way(member)


def _way(path: str) -> Iterator[_Place]:
    """The place of each link on the way of `path`, and the place where it leads."""
    try:
        todo = _parts(os.path.abspath(path))
    except FileNotFoundError:  # a relative path, and the working directory was removed: nothing can appear there
        return
    here = "/"
    links = 0
    while todo:
        name = todo.pop()
        there = os.path.normpath(os.path.join(here, name))
        target = _target(there)
        if target is None or links == _MOST_LINKS:
            if not todo:
                yield here, name
            here = there
            continue
        yield here, name
        links += 1
        todo += _parts(target)
        if os.path.isabs(target):
            here = "/"


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None  # no link
