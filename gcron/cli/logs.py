"""`gcron logs`: what a run printed, also while it runs."""

from __future__ import annotations

import argparse
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from gcron.cli.talking import REFUSED, find, talk, word_of
from gcron.cli.terminal import is_terminal
from gcron.cli.timestamps import Stamped, records_of
from gcron.control.client import Client, NoGcron, Refused
from gcron.escaping import escape, escape_line

__all__ = ["follow_run", "main", "pieces_of", "readable", "write_output"]

# Of the newest runs of a job, so many are looked at for one that printed something.
_LOOKED_AT = 20
# Bytes from the end in which the last lines are looked for.
_TAIL = 4 * 1024 * 1024

_GAP = b"[gcron: %d bytes are not kept]\n"

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Print the output of one run."""
    return talk(options, lambda client: _show(client, options))


def _show(client: Client, options: argparse.Namespace) -> int:
    name = find(client, options.job)["job"]
    run_id = _whole_id(client, name, options.run) if options.run else None
    if options.follow and run_id:
        follow_run(client, run_id, options.timestamps)
        return 0
    if options.follow:
        _follow_job(client, name, options.timestamps)
    position = -_TAIL if options.tail else None
    for candidate in [run_id] if run_id else _run_ids(client, name):
        try:
            pieces = _pieces_up_to_now(client, candidate, position, options.timestamps)
            write_output(_last_lines(pieces, options.tail) if options.tail else pieces)
        except Refused as error:
            if error.code != "no-output" or run_id:
                raise
        else:
            return 0
    print(f"gcron: no output of {escape_line(name)} is kept", file=sys.stderr)
    return REFUSED


def _pieces_up_to_now(client: Client, run_id: str, position: int | None, timestamps: bool) -> Iterator[bytes]:
    if not timestamps:
        yield from client.data("runs", run_id, "output", position=position)
        return
    stamped = Stamped()
    for record in records_of(client.data("runs", run_id, "output", position=position, timestamps=True)):
        yield stamped.take(record) if record["event"] == "output" else _GAP % record["bytes"]


def _run_ids(client: Client, name: str) -> Iterator[str]:
    for run in client.get("jobs", name, "runs", limit=_LOOKED_AT)["runs"]:
        yield run["run_id"]


def _whole_id(client: Client, name: str, beginning: str) -> str:
    """Return the id of the run of that job that begins so."""
    if len(beginning) >= 16:
        return beginning
    runs = client.get("jobs", name, "runs", limit=500)["runs"]
    matches = [run["run_id"] for run in runs if run["run_id"].startswith(beginning)]
    if len(matches) == 1:
        return str(matches[0])
    what = "no run" if not matches else f"{len(matches)} runs"
    raise Refused({"code": "no-such-run", "detail": f"{what} of {name} with an id that begins with {beginning!r}"})


def _follow_job(client: Client, name: str, timestamps: bool) -> NoReturn:
    """Follow the run under way and those that begin after it, one after the other, until gcron ends."""
    last_id, last_run = "", ""
    while True:
        run_id, last_id = _present_or_next(client, name, last_id, last_run)
        if run_id != last_run:
            _tell(f"{name}: {_describe(follow_run(client, run_id, timestamps))}")
        last_run = run_id


def _present_or_next(client: Client, name: str, last_id: str, last_run: str) -> tuple[str, str]:
    """Return the id of the next run and that of its event: of a run that began after the event `last_id`.

    Without such an event, or when gcron has forgotten it, the run under way comes first.
    """
    for happening in client.stream("events", last_id=last_id, job=name, kind="run-started"):
        if happening.kind == "run-started":
            return str(happening.data["run_id"]), happening.last_id
        if happening.kind == "hello" and last_id:
            continue  # the runs that began meanwhile come now
        running = client.get("jobs", name)["running"]  # only now: nothing begins unseen in between
        if running and running[-1]["run_id"] != last_run:
            return str(running[-1]["run_id"]), happening.last_id
        if not last_run:
            _tell(f"{name} does not run now; waiting for its next run")
    raise NoGcron("gcron has ended")


def _describe(run: Record) -> str:
    return f"{word_of(run['outcome'])}: {run['reason']}" if run["reason"] else word_of(run["outcome"])


def _tell(text: str) -> None:
    print(f"gcron: {escape_line(text)}", file=sys.stderr, flush=True)


def follow_run(client: Client, run_id: str, timestamps: bool = False) -> Record:
    """Write what a run prints, as it comes; returns its record once it has ended. Raises NoGcron."""
    ended: list[Record] = []
    write_output(pieces_of(client, run_id, ended, timestamps))
    if not ended:
        raise NoGcron("gcron has ended before the run")
    return ended[0]


def pieces_of(client: Client, run_id: str, ended: list[Record], timestamps: bool = False) -> Iterator[bytes]:
    """Yield what a run prints, as it comes; at its end, put its record into `ended`."""
    stamped = Stamped()
    for happening in client.stream("runs", run_id, "output", follow=True, timestamps=timestamps or None):
        if happening.kind == "output" and timestamps:
            yield stamped.take(happening.data)
        elif happening.kind == "output":
            yield happening.data["text"].encode("utf-8", "surrogateescape")
        elif happening.kind == "gap":
            yield _GAP % happening.data["bytes"]
        elif happening.kind == "end":
            ended.append(happening.data)
            return


def write_output(pieces: Iterable[bytes]) -> None:
    """Write bytes to stdout, exactly those.

    On a terminal, what it could act upon is escaped, and a last line without a newline gets one.
    """
    for piece in _for_terminal(pieces) if is_terminal() else pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _for_terminal(pieces: Iterable[bytes]) -> Iterator[bytes]:
    end = "\n"
    for text in readable(pieces):
        end = text[-1]
        yield text.encode()
    if end != "\n":
        yield b"\n"


def readable(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield output as text that a terminal may show; no text is empty."""
    decoder = getincrementaldecoder("utf-8")("backslashreplace")  # a character may end in the next piece
    for piece in pieces:
        if text := escape(decoder.decode(piece)):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _last_lines(pieces: Iterable[bytes], count: int) -> list[bytes]:
    text = b"".join(pieces)
    lines = text.removesuffix(b"\n").split(b"\n")[-count:]
    return [b"\n".join(lines) + (b"\n" if text.endswith(b"\n") else b"")]
