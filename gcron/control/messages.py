"""What became of messages, as plain data: for each target, and for the newest messages one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from gcron.control.instance import AT_ONCE, Instance
from gcron.runtime.greenlet import sleep
from gcron.scheduler.messages import RecentMessage, TargetCounts
from gcron.scheduler.records import Record, instant

__all__ = ["counts_record", "notifications"]

T = TypeVar("T")


def notifications(gcron: Instance, limit: int = 100) -> Record:
    """Each target with its counts, and at most `limit` of the newest messages, newest first. May park."""
    targets = gcron.scheduler.message_targets
    return {
        "since": instant(gcron.since),
        "is_kept": gcron.scheduler.store.store.is_durable,
        "targets": list(_with_turns(lambda counts: counts_record(counts) | {"jobs": counts.jobs}, targets)),
        "messages": list(_with_turns(_message_record, gcron.scheduler.recent_messages[:limit])),
    }


def _with_turns(make: Callable[[T], Record], items: Sequence[T]) -> Iterator[Record]:
    """Make the records a few at a time: others have their turn in between."""
    for index, item in enumerate(items):
        if index and index % AT_ONCE == 0:
            sleep(0)
        yield make(item)


def counts_record(counts: TargetCounts) -> Record:
    """What became of the messages for one target."""
    return {
        "target": counts.target,
        "where": counts.where,
        "kind": counts.kind,
        "on": list(counts.on),
        "quiet": counts.quiet,
        "sent": counts.sent,
        "waiting": counts.waiting,
        "held": counts.held,
        "held_until": instant(counts.held_until),
        "given_up": counts.lost,
        "dropped": counts.dropped,
        "failed_tries": counts.failed,
        "last_sent": instant(counts.last_sent),
        "failing": counts.failing,
        "last_error": counts.last_error,
        "last_error_at": instant(counts.last_error_at),
        "next_try": instant(counts.next_try),
    }


def _message_record(message: RecentMessage) -> Record:
    return {
        "message_id": message.message_id,
        "time": instant(message.time),
        "job": message.job,
        "kind": message.kind,
        "title": message.title,
        "target": message.target,
        "state": str(message.state),
        "attempts": message.attempts,
        "error": message.error,
        "changed": instant(message.changed),
        "next_try": instant(message.next_try),
        "from_before": message.is_kept,
    }
