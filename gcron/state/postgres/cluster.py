"""`PostgresCluster`: claims, leases, and what nodes say to one another; see `gcron.scheduler.cluster`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from gcron.errors import StateError
from gcron.scheduler.cluster import Answer, Beat, NodeRecord, Order, Presence, SharedFire, Verdict
from gcron.scheduler.history import Pause, StoredRun
from gcron.state.postgres.records import as_json, ending_of_lost, shared_fires_of, storable
from gcron.state.postgres.session import Session
from gcron.state.rules import RUN_COLUMNS

__all__ = ["PostgresCluster"]

_CLAIM = "SELECT {s}.claim(%s, %s::jsonb)"
_RELEASE = "SELECT {s}.release(%s, %s::bigint[])"
_BEAT = "SELECT {s}.beat(%s, %s::jsonb, %s, %s::jsonb, %s::jsonb)"
_SEND = """INSERT INTO {s}.job_order (token, node, verb, job, run_id, who, why, asked)
    VALUES (%s, %s, %s, %s, %s, %s, %s, {s}.now()) ON CONFLICT (token) DO NOTHING"""
# Claims of one statement, which takes 0.05 ms for each of them.
_CLAIMS_AT_ONCE = 5000


class PostgresCluster:
    """What `session` can do with other nodes."""

    def __init__(self, session: Session, node: str, labels: frozenset[str]) -> None:
        self.node = node
        self.labels = labels
        self.lease = session.lease
        self._session = session
        self._won = self._lost = 0
        self._names: dict[str, str] = {}
        """Of jobs whose names the database holds in another form, by that form."""

    def claim(self, fires: Sequence[SharedFire]) -> list[Verdict]:
        """See `Cluster.claim`. A statement is committed when it answers."""
        for fire in fires:
            self._know(fire.job)
        if len(fires) > _CLAIMS_AT_ONCE:
            return [*self.claim(fires[:_CLAIMS_AT_ONCE]), *self.claim(fires[_CLAIMS_AT_ONCE:])]
        asked = {(fire.job, fire.fire_at, fire.trigger): fire for fire in fires}  # some may be asked for twice
        values = [self._session.incarnation, shared_fires_of(list(asked.values()))]
        ((answers,),) = self._session.execute(_CLAIM, values, urgent=True)
        told = {
            key: Verdict(Answer(answer), fence, node, wait)
            for key, (answer, fence, node, wait) in zip(asked, answers or (), strict=True)
        }
        verdicts = [told[fire.job, fire.fire_at, fire.trigger] for fire in fires]
        self._won += sum(verdict.answer is Answer.START for verdict in verdicts)
        self._lost += sum(verdict.answer is Answer.TAKEN for verdict in verdicts)
        return verdicts

    def _know(self, job: str) -> None:
        if not job.isascii() or "\0" in job:
            self._names[storable(job)] = job

    def release(self, fences: Sequence[int]) -> None:
        """See `Cluster.release`."""
        self._session.execute(_RELEASE, [self._session.incarnation, list(fences)], urgent=True)

    def beat(self, presence: Presence, skew: float | None) -> Beat:
        """See `Cluster.beat`. Raises StateError when another node has this one's name by now."""
        session = self._session
        said = {
            "jobs": presence.jobs,
            "definitions": storable(presence.definitions),
            "pid": presence.pid,
            "skew": skew,
            "won": self._won,
            "lost": self._lost,
            "seen_pauses": presence.seen_pauses,
            "seen_success": presence.seen_success,
        }
        values = [session.incarnation, session.as_json(), session.lease, as_json(said), ending_of_lost()]
        ((answer,),) = session.execute(_BEAT, values, urgent=True)
        if "number" not in answer:
            raise StateError(session.refusal(answer["holder"]))
        session.move_on(answer["number"])
        return self._beat_of(answer)

    def _beat_of(self, answer: Mapping[str, Any]) -> Beat:
        pauses = answer.get("pauses")
        return Beat(
            now=answer["now"],
            holds=answer["holds"],
            lost=tuple(StoredRun(*(self._named(run)[name] for name in RUN_COLUMNS)) for run in answer["lost"]),
            offers=tuple(
                SharedFire(
                    self._names.get(each["job"], each["job"]),
                    each["fire_at"],
                    each["trigger"],
                    each["deadline"],
                    each["may_overlap"],
                    each["retry_lost"],
                )
                for each in answer["offers"]
            ),
            pauses=None
            if pauses is None
            else {
                self._names.get(each["job"], each["job"]): Pause(each["since"], each["until"], each["who"], each["why"])
                for each in pauses
            },
            pauses_version=answer["pauses_version"],
            successes={self._names.get(job, job): time for job, time in answer["successes"].items()},
            orders=tuple(
                Order(*(self._named(order)[name] for name in Order.__match_args__)) for order in answer["orders"]
            ),
            nodes=tuple(_node_of(each) for each in answer["nodes"]),
        )

    def _named(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with the name of its job as this node has it."""
        return {**row, "job": self._names.get(row["job"], row["job"])}

    def send(self, node: str, order: Order) -> None:
        """See `Cluster.send`."""
        texts = node, order.verb, order.job, order.run_id, order.who, order.why
        self._session.execute(_SEND, [os.urandom(16).hex(), *map(storable, texts)])


def _node_of(row: Mapping[str, Any]) -> NodeRecord:
    names = [name for name in NodeRecord.__match_args__ if name != "labels"]
    return NodeRecord(**{name: row[name] for name in names}, labels=tuple(row["labels"]))
