"""The protocol of stores that several nodes share, and what they say about claims, leases and one another.

Times are seconds. Instants are seconds of UTC, by the clock of the store: the nodes' clocks may differ. This module
must not know which database it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from gcron.frozen import frozen
from gcron.scheduler.history import Pause, StoredRun

__all__ = ["Answer", "Beat", "Cluster", "NodeRecord", "Order", "Presence", "SharedFire", "Verdict"]


# -- claims -----------------------------------------------------------------------------------------------------


@frozen
class SharedFire:
    """A fire of a job whose fires one node starts. It is keyed by `job`, `fire_at` and `trigger`."""

    job: str
    fire_at: int
    """When it was due. Of a service: 0, there is one claim for its whole life. Of a trigger: when it was asked for."""
    trigger: str = ""
    """Of a run that somebody asked for: what makes its claim another one; empty for a fire."""
    deadline: float = 3600.0
    """How late it may be granted."""
    overlaps: bool = False
    """It may start while a run of the job is open on another node (`overlap=allow`)."""
    retry_lost: bool = False
    """When its node is lost, another one may run it again."""
    is_missed: bool = False
    """It does not start: the claim decides who reports that it was missed. `deadline` and `overlaps` do not matter."""


class Answer(StrEnum):
    """What a claim is told."""

    START = "start"
    """This node starts it, or reports it as missed."""
    TAKEN = "taken"
    """Another node has it, or had it."""
    BUSY = "busy"
    """This node has it, but a run of the job is open on another node. This node records it as skipped."""
    EARLY = "early"
    """It is more than 1 s in the future: ask again."""
    LATE = "late"
    """It is older than its deadline, and nobody has it."""


@frozen
class Verdict:
    """The answer to a claim. It is true when the fire starts here."""

    answer: Answer
    fence: int = 0
    """Its number, if this node has it."""
    node: str = ""
    """`taken`, `busy`: who has the fire, or the open run."""
    wait: float = 0.0
    """`early`: seconds until it may be granted."""

    def __bool__(self) -> bool:
        return self.answer is Answer.START


# -- leases: each node renews one for all that it has --------------------------------------------------------------


@frozen
class Presence:
    """What a node says of itself with each beat."""

    jobs: int
    """How many it knows."""
    definitions: str
    """A digest of them: nodes with different ones have different crontabs."""
    pid: int
    seen_pauses: int = -1
    """`Beat.pauses_version` that it knows. -1: none."""
    seen_success: float = 0.0
    """`Beat.now` of the last beat: the successes since then are news."""


@frozen
class NodeRecord:
    """A node as the others see it."""

    node: str
    host: str
    pid: int
    labels: tuple[str, ...]
    version: str
    jobs: int
    definitions: str
    started: float
    last_beat: float
    is_up: bool
    """Its lease holds."""
    skew: float | None = None
    """By how many seconds its clock is ahead of the store's; None: not known."""
    won: int = 0
    """Claims that it was granted since it started."""
    lost: int = 0
    """Claims that another node had."""


@frozen
class Order:
    """Something that another node asks this one to do: `stop` or `kill` a run, `restart` or `stop` a service."""

    number: int
    """By which it is done once."""
    verb: str
    job: str
    run_id: str
    who: str
    why: str


@frozen
class Beat:
    """What a node learns with each beat."""

    now: float
    """The store's clock."""
    holds: bool
    """False: its lease had run out, and its runs were given up as lost. With this beat it has begun a new one."""
    lost: tuple[StoredRun, ...] = ()
    """Runs of nodes whose lease ran out, which this beat has ended as lost: this node reports them."""
    offers: tuple[SharedFire, ...] = ()
    """Fires that were given back, or whose run was lost with `retry-lost=yes`: any node may claim them."""
    pauses: Mapping[str, Pause] | None = None
    """All jobs that are paused; None: as before."""
    pauses_version: int = -1
    successes: Mapping[str, float] = MappingProxyType({})
    """Jobs that have succeeded on any node since `Presence.seen_success`, and when."""
    orders: tuple[Order, ...] = ()
    nodes: tuple[NodeRecord, ...] = ()
    """All of them, also this one; those that have been down for a day are left out."""


class Cluster(Protocol):
    """What a store can do besides (`Store.cluster`), when several nodes share it.

    `Store.close` ends the lease: what this node may have left is given up by others at once.

    Methods are called in threads, as those of `Store`: `claim` and `release` in that of claims, `beat` and `send` in
    others. They may raise any exception.
    """

    node: str
    """This node's name."""
    labels: frozenset[str]
    lease: float
    """Seconds for which a beat holds, from the moment on in which it was sent."""

    def claim(self, fires: Sequence[SharedFire]) -> Sequence[Verdict]:
        """Claim these fires, all of them at once, no two of them the same. What is granted is durable on return.

        Asked again for what this node has and has not begun, or for a service that it has, it gives the same answer,
        with the same number: the first one may have been lost on its way. What it has and has not begun is over when
        it is claimed as missed.
        """

    def release(self, fences: Sequence[int]) -> None:
        """Give claims back that have not begun: other nodes may have them."""

    def beat(self, presence: Presence, skew: float | None) -> Beat:
        """Renew this node's lease, give up what others have lost, and learn what is new."""

    def send(self, node: str, order: Order) -> None:
        """Have another node do that, with its next beat. `Order.number` is given by the store."""
