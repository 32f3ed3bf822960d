"""The output of runs, as files: the beginning of a run's output in one file; if it is long, its end in a few more.

    output/RUN              the first bytes
    output/RUN.tail/START   further bytes; START is the position of the first one
    output/RUN.index, output/RUN.tail/START.index    when the bytes of that file came, and from which stream

An index is written before its bytes, and goes with them. Output of an earlier version of gcron has none.

Files are only appended to, and the oldest one of a tail goes when there are too many. So what is there is right at any
moment, also after gcron was killed, and can be read while it grows.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from gcron.scheduler.history import OutputPart, OutputSpan
from gcron.scheduler.output_buffer import OutputPiece
from gcron.state import output_index
from gcron.state.output_index import RECORD_SIZE, Span

__all__ = ["OutputFiles"]

# Runs whose files are known without looking at them.
_MOST_KNOWN = 1000
# A tail has at least so many files when it is full, so that little goes with the oldest one; and at most so many.
_CUTS, _MOST_FILES = 4, 16
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_TAIL, _INDEX = ".tail", ".index"


class _Part(NamedTuple):
    """One file: the bytes from `start` to `end` of a run's output."""

    start: int
    end: int
    is_head: bool


class _Place:
    """What there is of a run, and where its next bytes go."""

    __slots__ = ("indexed", "parts", "position")

    def __init__(self, parts: list[_Part]) -> None:
        self.parts = parts
        self.position = parts[-1].end if parts else 0
        self.indexed = self.position
        """Bytes from here on are in no index yet."""


class OutputFiles:
    """The files below `directory`, which is made when it is first needed. One thread writes; any thread reads."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._places: OrderedDict[str, _Place] = OrderedDict()

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, pieces: Sequence[OutputPiece]) -> None:
        """Write pieces, as many as can be written; or see whether anything can be. Raises OSError, see `Store`."""
        if not pieces:
            self.probe()
        failure: OSError | None = None
        for piece in pieces:
            try:
                self.append(piece)
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure

    def append(self, piece: OutputPiece) -> None:
        """Write a piece. What cannot be written becomes a gap; an index may be without some bytes. Raises OSError."""
        half = piece.keep // 2
        if not half:
            return
        place = self._place(piece.run_id)
        data = memoryview(b"".join(piece.chunks))
        start = place.position + piece.skipped
        spans = list(output_index.place(piece.spans, start))
        failure: OSError | None = None
        place.position = start + len(data)
        if piece.skipped and not data:  # an empty file remembers where the next bytes belong
            part, _ = _next_part(place.parts, start, half)
            self._write(piece.run_id, part, data)
            place.parts.append(part)
        while data:
            part, room = _next_part(place.parts, start, half)
            if not part.is_head and len(data) > half:  # more than a tail takes
                data, start = data[-half:], start + len(data) - half
                continue
            try:
                self._write_index(piece.run_id, part, place, spans, start, start + len(data[:room]), half)
            except OSError as error:
                failure = error
            written = self._write(piece.run_id, part, data[:room])
            if place.parts and place.parts[-1].start == part.start:
                place.parts.pop()
            place.parts.append(part._replace(end=part.end + written))
            data, start = data[written:], start + written
        self._trim(piece.run_id, place.parts, half)
        if failure is not None:
            raise failure

    def probe(self) -> None:
        """Raise OSError when nothing can be written."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        path = os.path.join(self.directory, ".probe")
        try:
            with open(os.open(path, _FLAGS, 0o600), "wb") as file:
                file.write(bytes(4096))
        finally:
            with suppress(OSError):
                os.unlink(path)

    def _place(self, run_id: str) -> _Place:
        place = self._places.pop(run_id, None) or _Place(self._parts(run_id))
        self._places[run_id] = place
        if len(self._places) > _MOST_KNOWN:
            self._places.popitem(last=False)
        return place

    def _write(self, run_id: str, part: _Part, data: memoryview) -> int:
        file = _open(self._path(run_id, part))
        try:
            return os.write(file, data)
        finally:
            os.close(file)

    def _write_index(
        self, run_id: str, part: _Part, place: _Place, spans: Sequence[Span], start: int, end: int, half: int
    ) -> None:
        """Note when the bytes from `start` to `end` came, which are about to be written into that file."""
        start = max(start, place.indexed)  # they were noted, and then could not be written
        place.indexed = max(end, place.indexed)
        records = output_index.pack(output_index.part_of(spans, start, end))
        if not records:
            return
        file = _open(self._path(run_id, part) + _INDEX)
        try:
            written = os.fstat(file).st_size
            size = written - written % RECORD_SIZE  # the disk was full in the middle of a record
            while size and output_index.unpack(os.pread(file, RECORD_SIZE, size - RECORD_SIZE))[0].end > start:
                size -= RECORD_SIZE  # gcron was killed before it wrote these bytes: others come in their place
            if size < written:
                os.ftruncate(file, size)
            if size + len(records) <= output_index.most_bytes(half if part.is_head else max(1, half // _CUTS)):
                os.write(file, records)
        finally:
            os.close(file)

    def _trim(self, run_id: str, parts: list[_Part], half: int) -> None:
        tail = [part for part in parts if not part.is_head]
        size = sum(part.end - part.start for part in tail)
        while size > half or len(tail) > _MOST_FILES:
            oldest = tail.pop(0)
            size -= oldest.end - oldest.start
            parts.remove(oldest)
            path = self._path(run_id, oldest)
            for name in (path + _INDEX, path):
                with suppress(FileNotFoundError):
                    os.unlink(name)

    def delete(self, run_ids: Iterable[str]) -> None:
        """Delete what these runs wrote."""
        for run_id in run_ids:
            self._places.pop(run_id, None)
            head = os.path.join(self.directory, run_id)
            for name in (head, head + _INDEX):
                with suppress(FileNotFoundError):
                    os.unlink(name)
            with suppress(FileNotFoundError):
                for name in os.listdir(head + _TAIL):
                    os.unlink(os.path.join(head + _TAIL, name))
                os.rmdir(head + _TAIL)

    # -- reading --------------------------------------------------------------------------------------------

    def read(self, run_id: str, position: int, limit: int) -> OutputPart | None:
        """See `Store.output`. Raises OSError."""
        if not run_id.isalnum():  # no path
            return None
        while True:
            parts = self._parts(run_id)
            if not parts:
                return None
            size = parts[-1].end
            position = max(0, size + position) if position < 0 else position
            part = next((part for part in parts if part.end > position), None)
            if part is None:
                return OutputPart(position, b"", size)
            start = max(position, part.start)
            try:
                with open(self._path(run_id, part), "rb") as file:
                    file.seek(start - part.start)
                    data = file.read(min(limit, part.end - start))
                return OutputPart(start, data, size, self._spans(run_id, part, start, start + len(data)))
            except FileNotFoundError:
                continue  # the oldest file of a tail went in this moment

    def _spans(self, run_id: str, part: _Part, start: int, end: int) -> tuple[OutputSpan, ...]:
        try:
            with open(self._path(run_id, part) + _INDEX, "rb") as file:
                count = os.fstat(file.fileno()).st_size // RECORD_SIZE
                return output_index.find_spans(lambda at, size: os.pread(file.fileno(), size, at), count, start, end)
        except FileNotFoundError:
            return ()

    def stored_runs(self) -> Iterator[tuple[str, int, float]]:
        """The files of each run: its id, their bytes, and when they changed last. A run may come several times."""
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    run_id, _, suffix = entry.name.partition(".")
                    status = entry.stat(follow_symlinks=False)
                    is_tail = f".{suffix}" == _TAIL
                    tail = _sizes(entry.path, _INDEX).values() if is_tail else (status.st_size,)
                    yield run_id, sum(tail), status.st_mtime

    def _parts(self, run_id: str) -> list[_Part]:
        parts = []
        head = os.path.join(self.directory, run_id)
        with suppress(FileNotFoundError):
            parts.append(_Part(0, os.stat(head).st_size, is_head=True))
        parts += [_Part(start, start + size, is_head=False) for start, size in sorted(_sizes(head + _TAIL).items())]
        return parts

    def _path(self, run_id: str, part: _Part) -> str:
        head = os.path.join(self.directory, run_id)
        return head if part.is_head else os.path.join(head + _TAIL, str(part.start))


def _next_part(parts: list[_Part], start: int, half: int) -> tuple[_Part, int]:
    """The file for what comes at `start`, and how much it takes."""
    last = parts[-1] if parts else _Part(0, 0, is_head=True)
    longest = half if last.is_head else max(1, half // _CUTS)
    if last.end == start and start - last.start < longest:
        return last, longest - (start - last.start)
    return _Part(start, start, is_head=False), max(1, half // _CUTS)


def _sizes(directory: str, others: str = "") -> dict[int, int]:
    """The size of each file of a tail, by its start; with that of the file beside it whose name goes on so."""
    sizes: dict[int, int] = {}
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            start, _, suffix = name.partition(".")
            if not suffix or f".{suffix}" == others:
                with suppress(FileNotFoundError):
                    size = os.stat(os.path.join(directory, name)).st_size
                    sizes[int(start)] = sizes.get(int(start), 0) + size
    return sizes


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        return os.open(path, _FLAGS, 0o600)
