"""The protocol of stores, which remember claims, history and output; and the store that remembers nothing.

A store may be slow, stall or raise: the scheduler asks it through the door (`door.py`). This module must not know where
a store keeps things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol

from gcron.scheduler.history import Fire, JobSummary, OutputPart, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece

if TYPE_CHECKING:
    from gcron.scheduler.cluster import Cluster
    from gcron.scheduler.messages import KeptMessage

__all__ = ["Fire", "History", "NoStore", "RecordsRefused", "Store"]


class RecordsRefused(Exception):
    """The store cannot hold some records of a batch, and never will. It has written all others."""

    def __init__(self, lost: int, why: str) -> None:
        super().__init__(why)
        self.lost = lost
        """How many of them were ended runs."""


class History(Protocol):
    """What can be asked about the past: of a store, or of a scheduler's `store`."""

    def runs(self, query: RunQuery) -> RunPage:
        """Runs, newest first. Raises ValueError for a wrong cursor."""

    def run(self, run_id: str) -> StoredRun | None:
        """One run; None when there is none with this id."""

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """At most `limit` bytes of what the run wrote, from `position` on; a negative one counts from the end.

        None when nothing of that run is kept.
        """

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """How these jobs did, or all; jobs that never ran may be missing."""

    def facts(self) -> StoreFacts:
        """Where it keeps things, and how much."""


class Store(History, Protocol):
    """What a scheduler needs of a store.

    Methods may raise any exception: the door handles it. When `blocks` is True, they are called in threads: `claim`
    and `forget` in one at a time; `write`, `write_output` and `tend` in another; the queries in several.
    """

    blocks: bool
    """True when a call may wait for a disk or a network. It is then called in a thread."""
    when_down: Literal["run", "skip"]
    """What becomes of a fire that the store did not claim in time: it runs all the same, or it is missed."""
    keeps_history: bool
    """False: nothing is written, and queries find nothing."""
    is_durable: bool
    """True when what it keeps outlives the process. Messages that are to be delivered are then kept, too."""
    keep_output: int
    """Bytes of a run's output that are kept, where its job does not say otherwise."""

    @property
    def cluster(self) -> Cluster | None:
        """What it can do when several nodes share it; None: it belongs to one gcron."""

    @property
    def has_past(self) -> bool:
        """False when `recall` would find nothing. A start then does not wait for it."""

    # -- claims ---------------------------------------------------------------------------------------------

    def must_claim(self, job: Job) -> bool:
        """True when the job's fires have to be claimed before they start. Called in the loop: it may not wait."""

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool]:
        """For each fire: True for the first caller, False for every later one. All of them are durable on return.

        A fire that was claimed as one that waits can be claimed again, until it was claimed as one that does not. What
        is claimed, and has neither a run nor was missed, is in the next `recall`.
        """

    def forget(self, jobs: Sequence[str]) -> None:
        """Drop the claims of these jobs: they were removed, or the clock was set back and their instants come again."""

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Record everything in it, or raise; then it comes again, and what was recorded must not change by that.

        Raises RecordsRefused when the rest is recorded, and need not come again.
        """

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """Append to what runs wrote. What cannot be written is a gap: it does not come again.

        After it has raised, it is called without pieces until that shows that it would work again.
        """

    def tend(self) -> float:
        """Do a small part of what is to be done beside the work; return in how many seconds to call again."""

    def close(self) -> None:
        """Nothing is asked after this call."""

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """What a start has to know. These are the jobs now: the next start compares with them.

        What cannot be written then is written by the next `write`: a disk that is full keeps nobody from reading.
        """

    def messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """Some of the messages that are kept, oldest first, from the one after `after` on."""


class NoStore:
    """Remembers nothing: what a scheduler has that is given no store."""

    blocks = False
    when_down: Literal["run", "skip"] = "run"
    keeps_history = False
    is_durable = False
    keep_output = 0
    cluster = None
    has_past = False

    def must_claim(self, job: Job) -> bool:
        """See `Store.must_claim`."""
        return False

    def claim(self, fires: Sequence[Fire]) -> list[bool]:
        """See `Store.claim`."""
        return [True] * len(fires)

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`."""

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""

    def tend(self) -> float:
        """See `Store.tend`."""
        return inf

    def close(self) -> None:
        """See `Store.close`."""

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`."""
        return Recall({})

    def messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """See `Store.messages`."""
        return ()

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return RunPage(())

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        return None

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """See `Store.output`."""
        return None

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        return {}

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        return StoreFacts("nowhere", 0, 0, None, 0, 0)
