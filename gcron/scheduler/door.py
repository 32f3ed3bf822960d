"""The door to the store: asks it in batches and in threads, waits for a bounded time, and goes on without it.

So a store that is slow, stalls or raises delays at most the fires that it must claim, and loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from gcron.errors import StateError
from gcron.frozen import frozen
from gcron.runtime.event import AsyncResult
from gcron.runtime.greenlet import spawn
from gcron.runtime.lock import Semaphore
from gcron.runtime.threadpool import ThreadPool
from gcron.schedule.clock import Clock
from gcron.scheduler.events import SchedulerEvent, StoreFailed, StoreRecovered
from gcron.scheduler.history import Chain, JobSummary, OutputPart, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Journal
from gcron.scheduler.recorder import Recorder
from gcron.scheduler.store import Fire, Store
from gcron.supervise.outcome import NO_REASON, Reason, ReasonCode
from gcron.supervise.timing import TIMING, Timing

if TYPE_CHECKING:
    from gcron.scheduler.cluster import Order
    from gcron.scheduler.messages import KeptMessage

__all__ = ["NO_ANSWER", "StoreDoor", "StoreHealth", "StoreUnavailable", "call_in"]

P = ParamSpec("P")
T = TypeVar("T")

NO_ANSWER = Reason(ReasonCode.STORE_FAILED, "the store did not say whether it may start")
"""Why a fire is missed that has to be claimed, and was not."""
_REFUSED = Reason(ReasonCode.STORE_FAILED, "not made up: the store says that it or a later fire was claimed meanwhile")

# Queries at a time. More wait their turn.
_QUERIES = 2
# Seconds for a query.
_QUERY_TIMEOUT = 5.0
# Seconds for the history that is not written yet, before a query. Normally it takes a twentieth of a second.
_FLUSH_TIMEOUT = 1.0


class StoreUnavailable(Exception):
    """The store did not answer a query; the message says why."""


@frozen
class StoreHealth:
    """Whether the store works."""

    problem: str
    """Why it does not; empty when it does."""
    since: float | None
    """Seconds of UTC: since when it does not."""
    lost: int
    """Ended runs whose record is lost, since the start."""


class StoreDoor:
    """Asks `store` for a scheduler. `tell` takes the events `store-failed` and `store-recovered`, and may not park.

    What is to be recorded before it `is_open` waits.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tell: Callable[[SchedulerEvent], object],
        timing: Timing = TIMING,
        is_open: bool = True,
    ) -> None:
        self.store = store
        self._clock = clock
        self._tell = tell
        self._patience = timing.claim
        self._claim_pool = ThreadPool(1)
        self._turn = Semaphore()
        """Held while the store is asked for claims, or is to forget some."""
        self._next_claims: _Claims | None = None
        """What is claimed next. It may still grow."""
        self._query_pool = ThreadPool(_QUERIES)
        self._stalled: AsyncResult[Any] | None = None
        """A call of `claim` or `forget` that has not come back in time."""
        self._to_forget: list[str] = []
        self._journal = Journal(store.keep_output)
        self._recorder = Recorder(store, self._journal, self._fail, self._recover)
        self._failing: dict[str, str] = {}
        """Why claims, writes or upkeep do not work at the moment."""
        self._failed_at: float | None = None
        self._told_lost = 0
        self._is_open = is_open

    def open(self) -> None:
        """The store can be asked from now on."""
        self._is_open = True
        self._wake()

    def _wake(self) -> None:
        if self._is_open and self.store.keeps_history:
            self._recorder.wake()

    @property
    def health(self) -> StoreHealth:
        """Whether the store works."""
        return StoreHealth("; ".join(self._failing.values()), self._failed_at, self._journal.lost)

    # -- claims ---------------------------------------------------------------------------------------------

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool] | None:
        """Ask the store, parking the caller; None when it has no answer.

        What is claimed while the store is asked about other fires is one batch, which it is asked about next. Each
        batch has `Timing.claim` seconds from then on.
        """
        if not self._is_open:  # somebody else may have the store; before the start, nothing is due
            return [True] * len(fires)
        if not self.store.blocks:
            return self._claim(fires)
        claims = self._next_claims
        if claims is None:
            claims = self._next_claims = _Claims()
            spawn(self._claim_next, claims)
        first = len(claims.fires)
        claims.fires += fires
        answers = claims.answers.get()
        return None if answers is None else answers[first : first + len(fires)]

    def _claim_next(self, claims: _Claims) -> None:
        with self._turn:
            self._next_claims = None
            answers = None
            try:
                answers = self._claim(claims.fires)
            finally:
                claims.answers.set(answers)

    def _claim(self, fires: Sequence[Fire]) -> Sequence[bool] | None:
        if self._to_forget and not self._forget():
            return None
        answers: Sequence[bool] | None = self._ask(self.store.claim, fires)
        if answers is not None and len(answers) != len(fires):
            self._fail("claim", f"it answered {len(answers)} of {len(fires)} claims")
            return None
        return answers

    def take(self, job: Job, fire_at: int) -> Reason:
        """Claim a fire that has waited, just before it starts; returns why it may not, if so. Parks as `claim`."""
        if not self.store.must_claim(job):
            return NO_REASON
        answers = self.claim([Fire(job.name, fire_at)])
        if answers is None:
            return NO_REASON if self.store.when_down == "run" else NO_ANSWER
        return NO_REASON if answers[0] else _REFUSED

    def keeps_waiting(self, job: Job) -> bool:
        """Whether the next start finds those fires of the job that were claimed and wait."""
        return self.store.is_durable and self.store.must_claim(job)

    def forget(self, job: str) -> None:
        """Drop the claims of a job, before anything more is claimed; returns at once."""
        self._to_forget.append(job)
        if not self.store.blocks:
            self._forget()
        elif self._is_open and len(self._to_forget) == 1:  # else before the first claim
            spawn(self._forget_in_turn)

    def _forget_in_turn(self) -> None:
        with self._turn:
            if self._to_forget:
                self._forget()

    def _forget(self) -> bool:
        jobs = tuple(self._to_forget)
        if self._ask(self._call_forget, jobs) is None:
            return False
        del self._to_forget[: len(jobs)]
        return True

    def _call_forget(self, jobs: Sequence[str]) -> bool:
        self.store.forget(jobs)
        return True

    def _ask(self, call: Callable[[Any], Any], argument: object) -> Any:
        if self._stalled is not None:
            return None
        try:
            answer = call(argument) if not self.store.blocks else self._ask_in_thread(call, argument)
        except Exception as error:
            self._fail("claim", _text(error))
            return None
        if self._stalled is None:
            self._recover("claim")
        return answer

    def _ask_in_thread(self, call: Callable[[Any], Any], argument: object) -> Any:
        asked = call_in(self._claim_pool, call, argument)
        asked.wait(self._patience)
        if asked.ready():
            return asked.get()
        self._stalled = asked
        asked.rawlink(self._end_stall)
        self._fail("claim", f"it did not answer within {self._patience:g} s")
        return None

    def _end_stall(self, asked: object) -> None:
        if self._stalled is asked:
            self._stalled = None

    # -- history --------------------------------------------------------------------------------------------

    def note(self, event: SchedulerEvent) -> None:
        """Have an event recorded soon; returns at once."""
        self._journal.note(event)
        self._wake()

    def define(self, jobs: Iterable[Job]) -> None:
        """These jobs are new, or have changed; returns at once."""
        if self.store.keeps_history:
            self._journal.define(jobs)
            self._wake()

    def keep_chain(self, job: str, chain: Chain) -> None:
        """Remember that for a job that runs after others; returns at once."""
        if self.store.keeps_history:
            self._journal.keep_chain(job, chain)
            self._wake()

    def adopt(self, run: StoredRun) -> None:
        """A run of an earlier gcron goes on here, or gets its outcome here; returns at once."""
        if self.store.keeps_history:
            self._journal.adopt(run)
            self._wake()

    def remove(self, job: str) -> None:
        """The job of that name is gone; returns at once."""
        if self.store.keeps_history:
            self._journal.remove(job)
            self._wake()
        self.forget(job)

    def set_back(self, job: str) -> None:
        """The clock was set back, and instants of that job come again; returns at once."""
        if self.store.keeps_history:
            self._journal.restart(job, self._clock.now())
            self._wake()
        self.forget(job)

    def append_messages(self, messages: Sequence[KeptMessage]) -> None:
        """See `MessageStore.append_messages`. They are written together with the history."""
        self._journal.keep_messages(messages)
        self._wake()

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        """See `MessageStore.drop_messages`."""
        self._journal.drop_messages(message_ids)
        self._wake()

    # -- questions about the past: they park the caller -----------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall | None:
        """See `Store.recall`. None when there is nothing, or no answer in time."""
        if not self.store.has_past:
            return None
        try:
            return self._query(self.store.recall, jobs)
        except Exception as error:
            what = "pauses and runs that still go on are not known, so a job may run twice"
            self._recorder.note_failure("write", f"it does not say what was before this start: {_text(error)}; {what}")
            return None

    def settle(self) -> None:
        """Wait until what has happened by now is written, for a bounded time: a question then finds it."""
        if self._is_open:
            self._recorder.flush(_FLUSH_TIMEOUT)

    def runs(self, query: RunQuery) -> RunPage:
        """See `History.runs`. Raises StoreUnavailable, ValueError."""
        return self._query(self.store.runs, query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `History.run`. Raises StoreUnavailable."""
        return self._query(self.store.run, run_id)

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """See `History.output`. Raises StoreUnavailable."""
        return self._query(self.store.output, run_id, position, limit)

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `History.summaries`. Raises StoreUnavailable."""
        return self._query(self.store.summaries, jobs)

    def list_messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """See `MessageStore.list_messages`. Raises StoreUnavailable."""
        return self._query(self.store.messages, after)

    def send(self, node: str, order: Order) -> None:
        """See `Cluster.send`. Raises StoreUnavailable."""
        cluster = self.store.cluster
        assert cluster is not None, "a store of one gcron knows no other node"
        self._query(cluster.send, node, order)

    def facts(self) -> StoreFacts:
        """See `History.facts`. Raises StoreUnavailable."""
        return self._query(self.store.facts)

    def _query(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.store.blocks:
            return call(*args, **kwargs)
        if not self._is_open:
            raise StoreUnavailable("it is open from the start of the scheduler to its stop")
        asked = call_in(self._query_pool, call, *args, **kwargs)
        asked.wait(_QUERY_TIMEOUT)
        if not asked.ready():
            raise StoreUnavailable(f"it did not answer within {_QUERY_TIMEOUT:g} s")
        try:
            return asked.get()
        except ValueError:
            raise
        except Exception as error:
            raise StoreUnavailable(_text(error)) from error

    def close(self, timeout: float) -> None:
        """Record what waits, for at most `timeout` seconds, and close the store."""
        self._claim_pool.kill()
        self._query_pool.kill()
        if self._is_open:
            self._recorder.close(timeout)
            self._is_open = not self.store.blocks

    # -- whether it works -----------------------------------------------------------------------------------

    def note_failure(self, what: str, why: str) -> None:
        """Something else that it is asked for does not work."""
        self._fail(what, why)

    def note_success(self, what: str) -> None:
        """It works again."""
        self._recover(what)

    def _fail(self, what: str, why: str) -> None:
        if not self._failing:
            self._failed_at = self._clock.now()
            reason = Reason(ReasonCode.STORE_FAILED, f"the store does not work: {why}")
            self._tell(StoreFailed(self._failed_at, reason))
        self._failing[what] = why

    def _recover(self, what: str) -> None:
        if self._failing.pop(what, None) is None or self._failing:
            return
        self._failed_at = None
        lost, self._told_lost = self._journal.lost - self._told_lost, self._journal.lost
        self._tell(StoreRecovered(self._clock.now(), lost))


class _Claims:
    """Fires that are claimed together."""

    def __init__(self) -> None:
        self.fires: list[Fire] = []
        self.answers: AsyncResult[Sequence[bool] | None] = AsyncResult()


def call_in(pool: ThreadPool, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> AsyncResult[T]:
    """Have a thread call the store. An error is for the caller; one that comes after it has given up is for nobody.

    Without a link, the pool would report such an error with its traceback.
    """
    asked: AsyncResult[T] = pool.spawn(call, *args, **kwargs)
    asked.rawlink(lambda _: None)
    return asked


def _text(error: Exception) -> str:
    if isinstance(error, StateError):  # its text is for people, and complete
        return str(error)
    return f"{type(error).__name__}: {error}"
