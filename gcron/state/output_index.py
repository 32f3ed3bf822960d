"""When the bytes of an output came, and from which stream: records of a fixed size, in the order of their positions.

The records are kept beside the output, whose bytes stay as the job wrote them. Each record names its own bytes, so one
that is missing concerns no other. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

from gcron.scheduler.history import OutputSpan
from gcron.scheduler.output_buffer import WrittenSpan

__all__ = ["RECORD_SIZE", "Span", "find_spans", "most_bytes", "pack", "part_of", "place", "unpack"]

# Position of the first byte, seconds of UTC, bytes, stream.
_RECORD = Struct("<QdIB")
RECORD_SIZE = _RECORD.size
_STREAMS = ("stdout", "stderr")
_LONGEST = (1 << 32) - 1
# An index has at most so many bytes for each byte of output that is kept: lines of six bytes still have their times.
_MOST_PER_BYTE = 4
# Records that are read at a time.
_AT_ONCE = 512


class Span(NamedTuple):
    """The bytes of an output from `start` to `end`: they came together."""

    start: int
    end: int
    time: float
    stream: str


def most_bytes(kept: int) -> int:
    """How long the index of `kept` bytes of output may be."""
    return kept * _MOST_PER_BYTE


def place(written: Iterable[WrittenSpan], start: int) -> Iterator[Span]:
    """Spans that come one after the other from `start` on, with their positions."""
    for size, time, stream in written:
        yield Span(start, start + size, time, stream)
        start += size


def part_of(spans: Iterable[Span], start: int, end: int) -> Iterator[Span]:
    """The parts of spans that lie between two positions."""
    for span in spans:
        if start <= span.start and span.end <= end:
            yield span
        elif span.start < end and span.end > start:
            yield span._replace(start=max(span.start, start), end=min(span.end, end))


def pack(spans: Iterable[Span]) -> bytes:
    """The records of spans."""
    return b"".join(
        _RECORD.pack(span.start, span.time, min(span.end - span.start, _LONGEST), _STREAMS.index(span.stream))
        for span in spans
    )


def unpack(data: bytes | bytearray) -> list[Span]:
    """The spans of records. A last record that is not whole is left out: gcron was killed as it wrote it."""
    whole = len(data) - len(data) % RECORD_SIZE
    return [
        Span(start, start + size, time, _STREAMS[stream & 1])
        for start, time, size, stream in _RECORD.iter_unpack(data[:whole])
    ]


def find_spans(read: Callable[[int, int], bytes], count: int, start: int, end: int) -> tuple[OutputSpan, ...]:
    """What an index of `count` records knows of the bytes from `start` to `end`: all of them, or nothing.

    `read(position, size)` returns bytes of the index.
    """
    first = _last_before(read, count, start)
    found: list[OutputSpan] = []
    position, is_known = start, False
    for span in part_of(_from(read, first, count, end), start, end):
        if span.start < position:
            continue  # written twice: the first write of its output failed
        if span.start > position:
            found.append(OutputSpan(span.start - position))
        found.append(OutputSpan(span.end - span.start, span.time, span.stream))
        position, is_known = span.end, True
    if not is_known:
        return ()
    if position < end:
        found.append(OutputSpan(end - position))
    return tuple(found)


def _last_before(read: Callable[[int, int], bytes], count: int, position: int) -> int:
    """The number of the last record that does not begin after `position`; 0 if there is none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        record = unpack(read(middle * RECORD_SIZE, RECORD_SIZE))
        if record and record[0].start <= position:
            low = middle + 1
        else:
            high = middle
    return max(0, low - 1)


def _from(read: Callable[[int, int], bytes], first: int, count: int, end: int) -> Iterator[Span]:
    while first < count:
        spans: Sequence[Span] = unpack(read(first * RECORD_SIZE, _AT_ONCE * RECORD_SIZE))
        if not spans:
            return
        yield from spans
        if spans[-1].start >= end:
            return
        first += len(spans)
