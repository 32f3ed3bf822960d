"""The log: which record goes where. gcron's own records and job output share stdout, unless they are split."""

from __future__ import annotations

from gcron.daemon.formats.format import Format, Level
from gcron.daemon.sink import OnStall, Outlets
from gcron.frozen import frozen
from gcron.schedule.clock import Clock
from gcron.scheduler.events import JobOutput, RawOutput, SchedulerEvent

__all__ = ["Log", "LogSettings"]


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


class Log:
    """Writes what happens; an observer (`tell`) of a scheduler."""

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        self._format = settings.format
        self._clock = clock
        self.dropped_lines = 0
        """How many lines the log has said that it lost."""
        self._outlets = Outlets(self._describe_drop, settings.on_stall, settings.stdout_fd, settings.stderr_fd)
        self._own = self._outlets.stderr if settings.split else self._outlets.stdout

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

    @property
    def has_died(self) -> bool:
        """True when nothing is written any more, because of an error."""
        return self._outlets.has_died

    def stop_blocking(self) -> None:
        """Stop waiting for a reader that has stopped reading: gcron ends."""
        self._outlets.stop_blocking()

    def close(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds."""
        self._outlets.close(timeout)

    def _describe_drop(self, lines: int, size: int) -> bytes:
        self.dropped_lines += lines
        text = f"lost {lines} lines of this log ({size} bytes): it was not read, or there was no room for it"
        return self._format.message(self._clock.now(), text, "error")
