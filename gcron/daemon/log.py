"""The log: which record goes where. gcron's own records and job output share stdout, unless they are split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gcron.daemon.formats.format import Format, Level
from gcron.daemon.sink import OnStall, Outlets
from gcron.frozen import frozen
from gcron.schedule.clock import Clock
from gcron.scheduler.events import JobOutput, RawOutput, SchedulerEvent

if TYPE_CHECKING:
    from gcron.daemon.log_writer import LogWriter

__all__ = ["Log", "LogSettings"]

_NOT_READ = "it was not read, or there was no room for it"
_KILLED = "the process that writes it was killed"
_STDERR = 2


@frozen
class LogSettings:
    """What the command line decides about the log."""

    format: Format
    split: bool = False
    """gcron's own records go to stderr, job output alone to stdout."""
    on_stall: OnStall = "drop"
    """What becomes of job output when the log is not read."""
    stdout_fd: int = 1
    stderr_fd: int = 2
    writers: Sequence[LogWriter] = ()
    """The processes that write it, if its file may hang."""


class Log:
    """Writes what happens; an observer (`tell`) of a scheduler."""

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        self._format = settings.format
        self._clock = clock
        self.dropped_lines = 0
        """How many lines the log has said that it lost."""
        self._outlets = Outlets(self._describe_drop, settings.on_stall, settings.stdout_fd, settings.stderr_fd)
        self._own = self._outlets.stderr if settings.split else self._outlets.stdout
        self._writers = settings.writers
        self._complained = False
        """True when stderr has said that a process that writes the log was killed."""
        self._lost_before = 0
        """The bytes that were lost until then."""
        self._why_dropped = _NOT_READ
        for writer in self._writers:
            writer.on_killed = self._on_killed_writer
            writer.on_next = self._on_next_writer

    def tell(self, event: SchedulerEvent) -> None:
        """Write an event; parks while job output has to wait."""
        if isinstance(event, JobOutput):
            self._outlets.stdout.write_output(self._format.event(event))
        elif isinstance(event, RawOutput):
            sink = self._outlets.stdout if event.stream == "stdout" else self._outlets.stderr
            sink.write_output(event.data)
        elif record := self._format.event(event):
            self._own.write(record)

    def say(self, text: str, level: Level = "info") -> None:
        """Write a message of gcron itself: one record, whatever the names in it hold."""
        self._own.write(self._format.message(self._clock.now(), text, level))

    def report(self, event: str, fields: dict[str, object], lines: list[str], level: Level = "info") -> None:
        """Write a record with parts: `fields` for machines, `lines` for people."""
        self._own.write(self._format.report(self._clock.now(), event, fields, lines, level))

    def processes(self) -> list[int]:
        """The pids of the processes that write it."""
        return [pid for writer in self._writers if (pid := writer.pid) is not None]

    @property
    def has_died(self) -> bool:
        """True when nothing is written any more, because of an error."""
        return self._outlets.has_died

    def stop_blocking(self) -> None:
        """Stop waiting for a reader that has stopped reading: gcron ends."""
        self._outlets.stop_blocking()

    def close(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds."""
        for writer in self._writers:
            writer.hurry()
        self._outlets.close(timeout)

    def _on_killed_writer(self, text: str, descriptors: Sequence[int]) -> None:
        self._lost_before = self._outlets.lost
        self.say(text, "error")
        if self._complained or _STDERR in descriptors:
            return
        self._complained = True
        if self._outlets.stderr is not self._own:
            self._outlets.stderr.write(self._format.message(self._clock.now(), text, "error"))

    def _on_next_writer(self) -> None:
        if self._outlets.lost > self._lost_before:
            self._why_dropped = _KILLED

    def _describe_drop(self, lines: int, size: int) -> bytes:
        self.dropped_lines += lines
        why, self._why_dropped = self._why_dropped, _NOT_READ
        text = f"lost {lines} lines of this log ({size} bytes): {why}"
        return self._format.message(self._clock.now(), text, "error")
