"""What is written, as JSON that the functions in PostgreSQL take apart. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import attrgetter
from typing import Any

from gcron.scheduler.cluster import SharedFire
from gcron.scheduler.history import Fire, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.tally import Tally
from gcron.state import database
from gcron.state.rules import RUN_COLUMNS, Keep, keep_of, schedule_digests, write_chain
from gcron.supervise.outcome import Outcome, Reason, ReasonCode

__all__ = [
    "FOREVER",
    "MOST",
    "as_json",
    "batch_of",
    "definitions_of",
    "ending_of_lost",
    "fires_of",
    "parts_of",
    "shared_fires_of",
    "storable",
]

_run_values = attrgetter(*RUN_COLUMNS)
_sums = attrgetter(*Tally.__slots__)
FOREVER = 1e12
"""Seconds. A longer time means no more, and this one fits into what PostgreSQL adds up."""
MOST = (1 << 63) - 1
"""The largest number of a column."""


def storable(text: str) -> str:
    r"""The text as PostgreSQL can hold it: `\udc80` for a byte that is no UTF-8, `\x00` for a zero."""
    text = database.storable(text)
    return text.replace("\0", "\\x00") if "\0" in text else text


def as_json(value: object) -> str:
    """JSON of plain values; texts are storable."""
    return json.dumps(value, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # PostgreSQL reads `inf` and `nan`
    return value


def batch_of(batch: Batch, keep: Keep) -> str:
    """Everything in a batch."""
    runs = [dict(zip(RUN_COLUMNS, map(_plain, _run_values(run)), strict=True)) for run in batch.runs]
    return as_json(
        {
            "runs": runs,
            "sums": [
                *_sums_of(batch.runs),
                *({"name": storable(name), "last_fire": at} for name, at in batch.handled.items()),
                *({"name": storable(name)} for name in (*batch.pauses, *batch.chains, *batch.restarted)),
                *({"name": storable(job.name)} for job in batch.jobs),
            ],
            "jobs": definitions_of(batch.jobs, keep),
            "removed": [storable(name) for name in batch.removed],
            "restarted": [{"job": storable(name), "at": _plain(at)} for name, at in batch.restarted.items()],
            "handled": [{"job": storable(name), "fire_at": at} for name, at in batch.handled.items()],
            "chains": [
                {"job": storable(n), "chain": storable(write_chain(chain))} for n, chain in batch.chains.items()
            ],
            "pauses": [
                {"job": storable(name), "since": _plain(pause.since), "until": _plain(pause.until)}
                | {"who": storable(pause.who), "why": storable(pause.why)}
                for name, pause in batch.pauses.items()
                if pause is not None
            ],
            "resumed": [storable(name) for name, pause in batch.pauses.items() if pause is None],
            "messages": [
                {"message_id": storable(each.message_id), "target": storable(each.target)}
                | {"time": _plain(each.time), "text": storable(each.text)}
                for each in batch.messages
            ],
            "dropped": [
                {"message_id": storable(message_id), "target": storable(target)}
                for message_id, target in batch.dropped_messages
            ],
        }
    )


def parts_of(batch: Batch) -> list[Batch]:
    """What is in it, in several smaller ones and in the same order; none when it has one record."""
    fields: list[tuple[str, Any]] = [
        (name, records) for name, records in zip(Batch._fields, batch, strict=True) if records
    ]
    if len(fields) != 1:
        return [Batch()._replace(**{name: records}) for name, records in fields]
    ((name, records),) = fields
    make: Any = dict if isinstance(records, Mapping) else tuple
    items = tuple(records.items()) if isinstance(records, Mapping) else records
    half = len(items) // 2
    return [Batch()._replace(**{name: make(some)}) for some in (items[:half], items[half:])] if half else []


def _sums_of(runs: Iterable[StoredRun]) -> Iterable[dict[str, Any]]:
    """What each ended run adds to the sums of its job."""
    for place, run in enumerate(runs):
        if run.outcome:
            yield {"place": place, "run_id": run.run_id, "name": storable(run.job), **_sums_of_run(run)}


def _sums_of_run(run: StoredRun) -> dict[str, Any]:
    tally = Tally()
    tally.add(run)
    return dict(zip(Tally.__slots__, map(_plain, _sums(tally)), strict=True))


def definitions_of(jobs: Sequence[Job], default: Keep) -> list[dict[str, Any]]:
    """Jobs as the store compares them."""
    digests = schedule_digests(jobs)
    found = []
    for job in {job.name: job for job in jobs}.values():
        keep = keep_of(job, default)
        found.append(
            {"name": storable(job.name), "schedule": digests[job.name]}
            | {"keep_runs": min(keep.runs, MOST), "keep_for": min(keep.age, FOREVER)}
        )
    return found


def fires_of(fires: Sequence[Fire]) -> str:
    """Fires that a node claims for itself."""
    return as_json(
        [
            {"place": n, "job": storable(f.job), "fire_at": f.fire_at, "waits": f.waits, "has_run": f.has_run}
            for n, f in enumerate(fires)
        ]
    )


def shared_fires_of(fires: Sequence[SharedFire]) -> str:
    """Fires that nodes share."""
    return as_json(
        [
            {"place": place, "job": storable(fire.job), "fire_at": fire.fire_at, "trigger": storable(fire.trigger)}
            | {"deadline": min(fire.deadline, FOREVER), "may_overlap": fire.overlaps}
            | {"retry_lost": fire.retry_lost, "is_missed": fire.is_missed}
            for place, fire in enumerate(fires)
        ]
    )


def ending_of_lost() -> str:
    """How the runs of a node end that did not renew its lease."""
    reason = Reason(ReasonCode.GCRON_ENDED, "its node %s was not heard of any more: nobody knows how it ended")
    run = StoredRun("", "", 0.0, str(Outcome.LOST), str(reason.code))
    sums = {name: value for name, value in _sums_of_run(run).items() if value is not None}
    return as_json({"outcome": run.outcome, "reason_code": run.reason_code, "reason": reason.text, "sums": sums})
