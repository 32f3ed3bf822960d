"""What the endpoints of the API make of a request that was checked. Questions and actions are elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gcron.control import actions, operations
from gcron.control.errors import ControlError
from gcron.control.feed import Feed, StreamEvent, follow_output, output_record
from gcron.control.instance import Instance
from gcron.control.nodes import own_node
from gcron.scheduler.history import OutputPart, RunQuery

__all__ = ["Asked", "Output", "act", "events", "jobs", "output", "pause", "runs", "stop_job", "upcoming"]


class Asked(NamedTuple):
    """One request, checked."""

    gcron: Instance
    feed: Feed
    values: Mapping[str, Any]
    """Parameters that were given."""
    who: str
    """The user that asks; empty when that is not known."""
    last_event_id: str = ""


class Output(NamedTuple):
    """An answer that is no JSON object: what a run wrote, in pieces."""

    pieces: Iterator[bytes]
    kind: str = "application/octet-stream"


# -- what is asked ------------------------------------------------------------------------------------------------


def jobs(asked: Asked) -> Any:
    """A page of jobs, or the one that is looked for."""
    if (text := asked.values.get("find")) is not None:
        return {"jobs": operations.find_jobs(asked.gcron, text), "cursor": None}
    page, cursor = operations.jobs(asked.gcron, asked.values.get("limit", 100), asked.values.get("cursor", ""))
    return {"jobs": page, "cursor": cursor}


def runs(asked: Asked) -> Any:
    """A page of runs, of all jobs or of one."""
    values = asked.values
    query = RunQuery(
        job=values.get("name", values.get("job")),
        outcomes=values.get("outcome", frozenset()),
        failed=values.get("failed", False),
        since=values.get("since"),
        until=values.get("until"),
        limit=values.get("limit", 100),
        cursor=values.get("cursor", ""),
    )
    page, cursor = operations.runs(asked.gcron, query)
    return {"runs": page, "cursor": cursor}


def output(asked: Asked) -> Any:
    """What a run wrote, whole or followed."""
    run_id, position = asked.values["run_id"], asked.values.get("position", 0)
    if asked.values.get("follow"):
        if asked.last_event_id.isdecimal() and len(asked.last_event_id) < 18:
            position = int(asked.last_event_id)
        return follow_output(asked.gcron, run_id, position, asked.values.get("timestamps", False))
    run = operations.run(asked.gcron, run_id)
    first = operations.output_part(asked.gcron, run_id, position)
    if first is None:
        raise ControlError("no-output", f"no output of the run {run_id!r} is kept", run_id=run_id)
    parts = _parts(asked.gcron, run_id, first.start, first.size)
    if asked.values.get("timestamps"):
        return Output(_json_lines(parts), "application/jsonl")
    node = run.get("node", "")
    where = f"are only on node {node}" if node != own_node(asked.gcron) else "are not kept"
    return Output(_bytes(parts, where.encode()))


def _parts(gcron: Instance, run_id: str, position: int, size: int) -> Iterator[tuple[int, OutputPart]]:
    """What was written up to now, each part after the number of bytes before it that are not there."""
    while position < size:
        part = operations.output_part(gcron, run_id, position)
        if part is None or not part.data:
            return
        yield part.start - position, part
        position = part.start + len(part.data)


def _bytes(parts: Iterator[tuple[int, OutputPart]], where: bytes) -> Iterator[bytes]:
    """A gap is a line of its own, with a word where those bytes are."""
    is_in_line = False
    for gap, part in parts:
        if gap:
            yield b"\n" * is_in_line + b"[gcron: %d bytes %b]\n" % (gap, where)
        yield part.data
        is_in_line = not part.data.endswith(b"\n")


def _json_lines(parts: Iterator[tuple[int, OutputPart]]) -> Iterator[bytes]:
    for gap, part in parts:
        if gap:
            yield b'{"event": "gap", "bytes": %d}\n' % gap
        yield json.dumps({"event": "output", **output_record(part, timestamps=True)}).encode("ascii") + b"\n"


def events(asked: Asked) -> Iterator[StreamEvent]:
    """What happens, as it happens."""
    values = asked.values
    names: frozenset[str] = values.get("job", frozenset())
    for name in names:
        asked.gcron.job(name)
    return asked.feed.follow(names, values.get("kind", frozenset()), asked.last_event_id)


def upcoming(asked: Asked) -> Any:
    """Fires to come."""
    values = asked.values
    fires = operations.upcoming(
        asked.gcron, values.get("from"), values.get("to"), values.get("limit", 100), values.get("job")
    )
    return {"fires": fires, "cursor": None}


# -- what is done -------------------------------------------------------------------------------------------------


def act(action: Callable[..., Any], *names: str) -> Callable[[Asked], Any]:
    """Return an answer by an action that takes these parameters, who asks, and why."""

    def answer(asked: Asked) -> Any:
        values = asked.values
        return action(asked.gcron, *(values[name] for name in names), who=asked.who, why=values.get("why", ""))

    return answer


def stop_job(asked: Asked) -> Any:
    """The runs that were told to stop."""
    values = asked.values
    now = values.get("now", False)
    return actions.stop_job(asked.gcron, values["name"], asked.who, values.get("why", ""), now)


def pause(asked: Asked) -> Any:
    """The job, which is paused."""
    values = asked.values
    until = values.get("until")
    if (seconds := values.get("for")) is not None:
        if until is not None:
            raise ControlError("bad-request", "give `for` or `until`, not both")
        until = asked.gcron.clock.now() + seconds
    return actions.pause(asked.gcron, values["name"], until, asked.who, values.get("why", ""))
