"""Fires that nodes share through PostgreSQL: who starts them, leases, fences. A lease ends by a changed row."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gcron.errors import StateError
from gcron.frozen import replace
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, PythonCall
from gcron.scheduler.cluster import Answer, Beat, Order, Presence, SharedFire, Verdict
from gcron.scheduler.history import Pause, RunQuery, StoredRun
from gcron.scheduler.journal import Batch
from gcron.state.postgres.connections import DatabaseError
from gcron.state.postgres.records import batch_of, shared_fires_of
from gcron.state.postgres.store import PostgresStore
from gcron.state.rules import KEEP
from tests.postgres import Bouncer, Database
from tests.waiting import PATIENCE, until

START, TAKEN, BUSY, EARLY, LATE = Answer.START, Answer.TAKEN, Answer.BUSY, Answer.EARLY, Answer.LATE
Nodes = Callable[..., PostgresStore]


@pytest.fixture
def nodes(postgres: Database, tmp_path: Path) -> Iterator[Nodes]:
    """Open the store of a node."""
    stores: list[PostgresStore] = []

    def make(node: str, url: str = "", **options: Any) -> PostgresStore:
        output = str(tmp_path / node / "output")
        stores.append(PostgresStore(url or postgres.url, output, node=node, **options))
        assert stores[-1].open() == ""
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def now() -> int:
    return int(time.time())


def answers(verdicts: Sequence[Verdict]) -> list[Answer]:
    return [verdict.answer for verdict in verdicts]


def beat(store: PostgresStore, last: Beat | None = None, **said: Any) -> Beat:
    known = {} if last is None else {"seen_pauses": last.pauses_version, "seen_success": last.now}
    return store.cluster.beat(Presence(**({"jobs": 2, "definitions": "d", "pid": 1} | known | said)), 0.25)


def claim(store: PostgresStore, job: str, fire_at: int, **options: Any) -> Verdict:
    return store.cluster.claim([SharedFire(job, fire_at, **options)])[0]


def begin(store: PostgresStore, run_id: str, fire: SharedFire, fence: int, **fields: Any) -> StoredRun:
    run = StoredRun(run_id, fire.job, time.time(), fire_at=fire.fire_at, fence=fence, **fields)
    store.write(Batch(runs=(run,)))
    return run


def end(store: PostgresStore, run: StoredRun, outcome: str = "succeeded") -> None:
    store.write(Batch(runs=(replace(run, outcome=outcome, finished=time.time(), duration=0.5),)))


def expire(database: Database, node: str, seconds: float = 2.0) -> None:
    """Let the lease of a node have run out so many seconds ago."""
    database.sql(f"update gcron.incarnation set lease_until = gcron.now() - {seconds} where node = '{node}'")


# -- who starts a fire ------------------------------------------------------------------------------------------


def test_the_first_node_starts_a_fire_and_the_others_learn_who_it_was(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    at = now()
    first, second = claim(one, "job", at), claim(two, "job", at)
    assert first.answer is START
    assert first.fence > 0
    assert second == Verdict(TAKEN, node="one")


def test_the_same_claim_has_the_same_answer_until_the_run_is_on_record(nodes: Nodes) -> None:
    """The first answer may have been lost with its connection."""
    one = nodes("one")
    fire = SharedFire("job", now())
    first, again, twice = *one.cluster.claim([fire]), *one.cluster.claim([fire, fire])[:1], one.cluster.claim([fire])[0]
    assert first == again == twice
    begin(one, "run1", fire, first.fence)
    assert one.cluster.claim([fire]) == [Verdict(TAKEN, node="one")]


def test_busy_is_answered_again_and_each_fire_is_decided_once(nodes: Nodes) -> None:
    one, two, three = nodes("one"), nodes("two"), nodes("three")
    at = now()
    assert claim(one, "job", at - 60).answer is START
    busy = claim(two, "job", at)
    assert (busy.answer, busy.node) == (BUSY, "one")
    assert claim(two, "job", at) == busy
    assert claim(three, "job", at).answer is TAKEN


def test_a_claim_that_never_began_and_is_reported_as_missed_makes_room_for_the_next_fire(nodes: Nodes) -> None:
    """It stayed claimed: the job counted as busy on that node, and no other node started its next fires."""
    one, two = nodes("one"), nodes("two")
    at = now()
    assert claim(one, "job", at - 60).answer is START
    assert claim(two, "job", at - 30).answer is BUSY
    assert claim(one, "job", at - 60, is_missed=True).answer is START
    assert claim(two, "job", at).answer is START


def test_a_service_whose_copy_ended_with_its_gcron_starts_again_on_its_node(nodes: Nodes) -> None:
    """Its own node was told that it is taken, by itself: nobody ran it any more."""
    one, two = nodes("one"), nodes("two")
    service = SharedFire("service", 0)
    first = one.cluster.claim([service])[0]
    begin(one, "run1", service, first.fence)
    again = one.cluster.claim([service])[0]
    assert again.answer is START
    assert again.fence > first.fence
    assert claim(two, "service", 0).answer is TAKEN


@pytest.mark.parametrize("retry_lost", [True, False])
def test_a_run_that_its_node_ended_with_the_lease_may_run_again_elsewhere(nodes: Nodes, retry_lost: bool) -> None:
    """Only runs that others gave up ran again. A node that ended its run in time made `retry-lost=yes` do nothing."""
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now(), retry_lost=retry_lost)
    first = one.cluster.claim([fire])[0]
    run = begin(one, "run1", fire, first.fence)
    ended = Batch(runs=(replace(run, outcome="killed", reason_code="lease-lost", finished=time.time()),))
    one.write(ended)
    one.write(ended)  # the first answer was lost

    assert [offer.fire_at for offer in beat(two).offers] == [fire.fire_at] * retry_lost
    again = two.cluster.claim([fire])[0]
    assert again.answer is (START if retry_lost else TAKEN)
    assert not retry_lost or again.fence > first.fence
    one.write(ended)
    assert claim(one, "job", fire.fire_at).answer is TAKEN


def test_a_run_that_its_node_ended_with_the_lease_may_run_again_however_old_its_fire_is(
    nodes: Nodes, postgres: Database
) -> None:
    """It had run for longer than the start deadline. So it was too late for another node, which said it was missed."""
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now(), deadline=60.0, retry_lost=True)
    run = begin(one, "run1", fire, one.cluster.claim([fire])[0].fence)
    old = replace(fire, fire_at=fire.fire_at - 7200)
    postgres.sql(f"update gcron.claim set fire_at = {old.fire_at}, due = {old.fire_at}")
    one.write(Batch(runs=(replace(run, outcome="killed", reason_code="lease-lost", finished=time.time()),)))
    assert two.cluster.claim([old])[0].answer is START


def test_a_run_that_ended_makes_room_for_the_next_fire(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now() - 60)
    run = begin(one, "run1", fire, one.cluster.claim([fire])[0].fence)
    assert claim(two, "job", now() - 30).answer is BUSY
    end(one, run)
    assert claim(two, "job", now()).answer is START


def test_overlap_is_up_to_the_job_and_to_the_node_itself(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    assert claim(one, "job", now() - 60).answer is START
    assert claim(one, "job", now() - 30).answer is START
    assert claim(two, "job", now(), overlaps=True).answer is START


def test_early_and_late_are_by_the_clock_of_the_database(nodes: Nodes) -> None:
    one = nodes("one")
    early = claim(one, "job", now() + 60)
    assert early.answer is EARLY
    assert 57 < early.wait <= 60
    assert claim(one, "job", now() - 100, deadline=60).answer is LATE
    assert claim(one, "job", now() - 100, deadline=3600).answer is START
    assert claim(one, "job", now() - 10**9, deadline=float("inf")).answer is START


def test_a_missed_span_is_reported_by_one_node(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    at = now() - 10**6
    assert claim(one, "job", at, deadline=60, is_missed=True).answer is START
    assert claim(one, "job", at, deadline=60, is_missed=True).answer is START, "asked again"
    assert claim(two, "job", at, deadline=60, is_missed=True).answer is TAKEN
    assert claim(two, "job", at, deadline=10**9).answer is TAKEN, "it does not start after all"
    assert claim(two, "job", now()).answer is START, "and it keeps nobody busy"


def test_a_trigger_is_a_claim_of_its_own_and_never_early(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    at = now()
    assert claim(one, "job", at).answer is START
    assert claim(two, "job", at + 5, trigger="run7").answer is BUSY
    assert claim(one, "job", at + 5, trigger="run8").answer is START


def test_fences_grow(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    fences = [claim(store, f"job{n}", now()).fence for n, store in enumerate([one, two, two, one, two])]
    assert fences == sorted(set(fences))


def test_four_nodes_claim_a_thousand_fires_each_once(nodes: Nodes) -> None:
    stores = [nodes(f"node{n}") for n in range(4)]
    at = now()
    fires = [SharedFire(f"job{n}", at) for n in range(1000)]
    won: list[SharedFire] = []
    failures: list[BaseException] = []

    def race(store: PostgresStore, chunks: list[int]) -> None:
        try:
            for chunk in chunks:
                some = fires[chunk * 50 : chunk * 50 + 50]
                won.extend(f for f, verdict in zip(some, store.cluster.claim(some), strict=True) if verdict)
        except BaseException as error:
            failures.append(error)

    orders = [
        list(range(20)),
        list(range(19, -1, -1)),
        [*range(10, 20), *range(10)],
        [*range(0, 20, 2), *range(1, 20, 2)],
    ]
    threads = [threading.Thread(target=race, args=pair) for pair in zip(stores, orders, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failures
    assert Counter(fire.job for fire in won) == dict.fromkeys((fire.job for fire in fires), 1)


STATEMENTS = ("claim one", "claim two", "release one", "give up one")


@pytest.mark.parametrize("order", list(permutations(STATEMENTS)), ids=" - ".join)
def test_statements_of_two_nodes_in_every_order_start_a_fire_at_most_once_at_a_time(
    nodes: Nodes, postgres: Database, order: Sequence[str]
) -> None:
    """Each function is one statement: what another connection does comes before it or after it."""
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now(), retry_lost=True)
    holder, fences = "", [0]
    for statement in order:
        if statement == "claim one":
            (verdict,) = _claim_or_refused(one, fire)
        elif statement == "claim two":
            (verdict,) = _claim_or_refused(two, fire)
        elif statement == "release one":
            one.cluster.release([fences[-1]])
            holder = "" if holder == "one" else holder
            continue
        else:
            expire(postgres, "one")
            beat(two)
            holder = "" if holder == "one" else holder
            continue
        node = statement.split()[1]
        if verdict:
            assert holder in ("", node)
            holder = node
            assert verdict.fence > fences[-1] or verdict.fence == fences[-1]
            fences.append(verdict.fence)
        else:
            assert holder not in ("", node) or (node == "one" and "give up one" in order[: order.index(statement)])


def _claim_or_refused(store: PostgresStore, fire: SharedFire) -> Sequence[Verdict]:
    try:
        return store.cluster.claim([fire])
    except DatabaseError as error:
        assert "lease" in str(error)
        return [Verdict(LATE)]


def test_a_claim_waits_for_one_that_is_not_committed_yet(nodes: Nodes, postgres: Database) -> None:
    """Two connections at once: the second learns what the first has committed, or has its turn when that rolls back."""
    one, two = nodes("one"), nodes("two")
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    for ending in ("COMMIT", "ROLLBACK"):
        fire = SharedFire(ending, now())
        with psycopg.connect(postgres.url, autocommit=True) as other:
            other.execute("BEGIN")
            session = one.engine.session
            other.execute("SELECT gcron.claim(%s, %s::jsonb)", [session.incarnation, _as_json(fire)])
            told: list[Verdict] = []
            thread = threading.Thread(target=lambda fire=fire, told=told: told.extend(two.cluster.claim([fire])))
            thread.start()
            until(lambda: postgres.sql(waits) == "1", "the second to wait")
            other.execute(ending)
            thread.join(PATIENCE)
        assert answers(told) == [TAKEN if ending == "COMMIT" else START]


def _as_json(fire: SharedFire) -> str:
    return shared_fires_of([fire])


def test_a_claim_without_its_row_is_granted_twice(nodes: Nodes, postgres: Database) -> None:
    """What the tests above rely on: they would see it if a claim did not last."""
    one, two = nodes("one"), nodes("two")
    at = now()
    assert claim(one, "job", at)
    postgres.sql("delete from gcron.claim")
    assert claim(two, "job", at)


# -- what is given back -----------------------------------------------------------------------------------------


def test_what_is_released_is_offered_to_all_and_has_a_new_fence(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("jöb", now(), deadline=77.0, overlaps=True)
    first = one.cluster.claim([fire])[0]
    one.cluster.release([first.fence])
    two.cluster.claim([SharedFire("jöb", 1, deadline=1.0)])
    assert beat(two).offers == beat(one).offers == (fire,)
    second = two.cluster.claim([fire])[0]
    assert second.answer is START
    assert second.fence > first.fence
    assert beat(one).offers == ()
    assert one.cluster.claim([fire])[0].answer is TAKEN


def test_only_what_has_not_begun_is_released_and_only_by_its_node(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now())
    fence = one.cluster.claim([fire])[0].fence
    two.cluster.release([fence])
    begin(one, "run1", fire, fence)
    one.cluster.release([fence])
    assert beat(two).offers == ()
    assert two.cluster.claim([fire])[0].answer is TAKEN


def test_a_service_is_one_claim_that_its_node_gives_back_at_its_stop(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    service = SharedFire("web", 0)
    fence = one.cluster.claim([service])[0].fence
    run = begin(one, "run1", service, fence)
    end(one, run, "failed")
    begin(one, "run2", service, fence)
    assert two.cluster.claim([service])[0].answer is TAKEN, "it goes on after a restart of the service"
    one.cluster.release([fence])
    assert two.cluster.claim([service])[0].answer is START
    expire(postgres, "two")
    beat(one)
    assert one.cluster.claim([service])[0].answer is START


# -- leases -----------------------------------------------------------------------------------------------------


def test_a_beat_renews_the_lease_and_shows_all_nodes(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one", lease=15.0, labels=frozenset({"gpu", "a"})), nodes("two")
    expire(postgres, "one", 0.5)
    with pytest.raises(DatabaseError, match="lease of this node has run out"):
        claim(one, "job", now())
    told = beat(one, jobs=7, definitions="digest", pid=4711)
    assert told.holds
    assert abs(told.now - time.time()) < 5
    assert claim(one, "job", now())
    assert claim(two, "job", now() - 1).answer is BUSY
    seen = {node.node: node for node in beat(two).nodes}
    assert (seen["one"].is_up, seen["one"].jobs, seen["one"].definitions, seen["one"].pid) == (True, 7, "digest", 4711)
    assert (seen["one"].labels, seen["one"].skew) == (("a", "gpu"), 0.25)
    assert (seen["two"].won, seen["two"].lost) == (0, 0)
    expire(postgres, "one")
    assert not {node.node: node for node in beat(two).nodes}["one"].is_up


def test_a_node_keeps_its_jobs_busy_until_it_is_given_up(nodes: Nodes, postgres: Database) -> None:
    """They were free from the end of its lease on. Its next gcron took them over a moment later: two runs at once."""
    one, two = nodes("one"), nodes("two")
    claim(one, "job", now() - 60)
    expire(postgres, "one", 0.5)
    assert beat(two).lost == ()
    assert claim(two, "job", now() - 1).answer is BUSY
    expire(postgres, "one", 1.5)
    assert [run.job for run in beat(two).lost] == ["job"]
    assert claim(two, "job", now()).answer is START


def test_a_start_is_told_which_claims_its_node_still_has(nodes: Nodes, postgres: Database) -> None:
    one = nodes("one")
    mine = {claim(one, job, now() - 60).fence for job in ("job", "other")}
    over = SharedFire("third", now() - 60)
    begin(one, "1", over, claim(one, over.job, over.fire_at).fence, outcome="succeeded", finished=time.time())
    expire(postgres, "one", 0.5)
    one = nodes("one")
    assert one.recall(()).held == mine
    two = nodes("two")
    expire(postgres, "one", 1.5)
    beat(two)
    assert nodes("one").recall(()).held == frozenset()


def test_runs_of_a_node_that_is_gone_are_lost_and_one_node_reports_them(nodes: Nodes, postgres: Database) -> None:
    one, two, three = nodes("one"), nodes("two"), nodes("three")
    fire = SharedFire("job", now())
    begin(one, "run1", fire, one.cluster.claim([fire])[0].fence)
    unknown = one.cluster.claim([SharedFire("unknown", now())])[0]
    asked_for = claim(one, "by hand", now(), trigger="run7")
    assert asked_for
    expire(postgres, "one")
    told = beat(two)
    lost = {run.job: run for run in told.lost}
    assert set(lost) == {"job", "unknown", "by hand"}
    assert (lost["job"].run_id, lost["job"].node, lost["job"].outcome) == ("run1", "one", "lost")
    assert "its node one was not heard of" in lost["job"].reason
    assert (lost["unknown"].fence, lost["unknown"].fire_at) == (unknown.fence, fire.fire_at)
    assert (lost["by hand"].run_id, lost["by hand"].fire_at) == ("run7", None)
    assert beat(three).lost == ()
    assert two.run("run1") == lost["job"]
    summary = three.summaries(["job"])["job"]
    assert (summary.recent, summary.runs) == (("lost",), 1)
    assert claim(three, "job", fire.fire_at).answer is TAKEN, "without retry-lost it does not run again"
    assert beat(two, told).lost == ()


def test_lost_runs_are_reported_again_until_the_answer_has_arrived(nodes: Nodes, postgres: Database) -> None:
    """The connection may break after the beat that gave a node up; and who was to report may be gone itself."""
    one, two, three = nodes("one"), nodes("two"), nodes("three")
    fire = SharedFire("job", now())
    begin(one, "run1", fire, one.cluster.claim([fire])[0].fence)
    expire(postgres, "one")
    first = beat(two)
    again = beat(two)
    assert [run.run_id for run in first.lost] == [run.run_id for run in again.lost] == ["run1"]
    expire(postgres, "two")
    inherited = beat(three)
    assert [run.run_id for run in inherited.lost] == ["run1"]
    assert beat(three, inherited).lost == ()


def test_retry_lost_offers_the_fire_to_others_however_old_it_is(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now() - 50, deadline=60.0, retry_lost=True)
    first = one.cluster.claim([fire])[0]
    begin(one, "run1", fire, first.fence)
    postgres.sql("update gcron.claim set fire_at = fire_at - 7200, due = due - 7200")  # it ran for two hours
    old = replace(fire, fire_at=fire.fire_at - 7200)
    expire(postgres, "one")
    assert beat(two).offers == (old,)
    second = two.cluster.claim([old])[0]
    assert second.answer is START
    assert second.fence > first.fence


def test_a_node_that_was_given_up_writes_nothing(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    fire, other = SharedFire("job", now(), retry_lost=True), SharedFire("other", now())
    fence = one.cluster.claim([fire])[0].fence
    run = begin(one, "run1", fire, fence)
    unknown = one.cluster.claim([other])[0].fence
    expire(postgres, "one")
    assert beat(two).holds
    end(one, run)
    begin(one, "run2", other, unknown)
    begin(one, "run3", fire, fence)
    assert two.run("run1").outcome == "lost"  # type: ignore[union-attr]
    assert two.run("run2") is None
    assert two.run("run3") is None
    assert two.summaries(["job"])["job"].succeeded == 0
    one.cluster.release([fence])
    with pytest.raises(DatabaseError, match="lease of this node has run out"):
        claim(one, "job", now())
    assert two.cluster.claim([fire])[0].answer is START
    end(one, run)
    assert two.cluster.claim([SharedFire("job", now() - 1)])[0].answer is START, "two's own run is still open"


def test_the_beat_after_that_begins_anew(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    started = {node.node: node.started for node in beat(two).nodes}["one"]
    expire(postgres, "one")
    beat(two)
    told = beat(one)
    assert not told.holds
    assert beat(one).holds
    assert claim(one, "job", now())
    assert {node.node: (node.is_up, node.started) for node in told.nodes}["one"] == (True, started)


def test_a_beat_that_begins_anew_can_be_repeated(nodes: Nodes, postgres: Database) -> None:
    """Its answer may be lost. The node would then be refused as its own twin, until that lease ends."""
    one, two = nodes("one"), nodes("two")
    before = one.engine.session.incarnation
    expire(postgres, "one")
    beat(two)
    assert not beat(one).holds
    one.engine.session.move_on(before)
    assert not beat(one).holds
    assert claim(one, "job", now())
    assert beat(one).holds


def test_a_run_of_what_each_node_has_for_itself_is_not_lost_with_the_lease(nodes: Nodes, postgres: Database) -> None:
    """It goes on while the network is away, and its outcome is written when that is back."""
    one, two = nodes("one"), nodes("two")
    run = begin(one, "run1", SharedFire("each", now()), 0)
    expire(postgres, "one")
    assert beat(two).lost == ()
    end(one, run)
    assert two.run("run1").outcome == "succeeded"  # type: ignore[union-attr]


def test_a_node_is_not_given_up_in_the_middle_of_a_claim(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now())
    with psycopg.connect(postgres.url, autocommit=True) as slow:
        slow.execute("BEGIN")
        slow.execute("SELECT gcron.claim(%s, %s::jsonb)", [one.engine.session.incarnation, _as_json(fire)])
        slow.execute("UPDATE gcron.incarnation SET lease_until = gcron.now() - 5 WHERE node = 'one'")
        assert beat(two).lost == ()
        slow.execute("COMMIT")
    assert [run.job for run in beat(two).lost] == ["job"]


def test_a_run_that_is_just_being_written_is_lost_with_its_node(nodes: Nodes, postgres: Database) -> None:
    """The beat waits for that write, and must see what it has written."""
    one, two = nodes("one"), nodes("two")
    fire = SharedFire("job", now())
    run = StoredRun("run1", "job", time.time(), fire_at=fire.fire_at, fence=one.cluster.claim([fire])[0].fence)
    expire(postgres, "one")
    told: list[Beat] = []
    with psycopg.connect(postgres.url, autocommit=True) as slow:
        slow.execute("BEGIN")
        values = [one.engine.session.incarnation, "one", batch_of(Batch(runs=(run,)), KEEP), 1.0]
        slow.execute("SELECT gcron.write(%s, %s, %s::jsonb, %s)", values)
        thread = threading.Thread(target=lambda: told.append(beat(two)))
        thread.start()
        until(lambda: postgres.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == "1")
        slow.execute("COMMIT")
        thread.join(PATIENCE)
    assert [run.run_id for run in told[0].lost] == ["run1"]
    end(one, run)
    assert two.run("run1").outcome == "lost"  # type: ignore[union-attr]


# -- starts and stops -------------------------------------------------------------------------------------------


def test_a_second_machine_with_the_name_of_a_node_is_refused(
    nodes: Nodes, postgres: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nodes("one")
    postgres.sql("update gcron.incarnation set host = 'elsewhere', pid = 4711")
    twin = PostgresStore(postgres.url, str(tmp_path / "twin"), node="one")
    with pytest.raises(StateError, match=r"a node one runs already \(process 4711 on elsewhere, since 2.*--node NAME"):
        twin.open()
    expire(postgres, "one", 0.1)
    assert twin.open() == ""
    twin.close()


def test_a_second_gcron_of_one_machine_with_the_name_of_a_node_is_refused(
    nodes: Nodes, postgres: Database, tmp_path: Path
) -> None:
    """It took the name of a node that was alive: two crontabs on one machine without --node were enough.

    The first one then started nothing any more, and its service ran a second time until its lease was over. Only who
    has the lock of the same directory knows that the earlier gcron is dead.
    """
    one = nodes("one")
    other = PostgresStore(postgres.url, str(tmp_path / "another crontab" / "output"), node="one")
    with pytest.raises(StateError, match=rf"a node one runs already \(process {os.getpid()} on .*--node NAME"):
        other.open()
    other.close()
    assert beat(one).holds


def test_who_was_replaced_by_a_twin_learns_it_with_its_next_beat(nodes: Nodes, postgres: Database) -> None:
    one = nodes("one")
    nodes("one")  # in the same place, so its local lock does not work
    with pytest.raises(StateError, match="a node one runs already"):
        beat(one)
    with pytest.raises(DatabaseError, match=r"the lease of this node has run out$"):  # no function with its line
        claim(one, "job", now())


def job_of(name: str, schedule: str = "@daily") -> Job:
    return Job(name, parse(schedule), PythonCall(lambda: None), Policy())


def test_a_restart_in_the_same_place_takes_over_what_is_open(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    fire, other = SharedFire("job", now()), SharedFire("each", now())
    one.recall([job_of("job")])
    run = begin(one, "run1", fire, one.cluster.claim([fire])[0].fence, pid=77, pid_since=1.5)
    begin(one, "run2", other, 0)
    not_begun = claim(one, "late", fire.fire_at)
    begin(two, "run3", SharedFire("elsewhere", now()), 0)
    again = nodes("one")
    assert claim(two, "job", fire.fire_at - 1).answer is BUSY, "there is no moment without a lease"
    recall = again.recall([job_of("job")])
    opened = [(each.run.run_id, each.run.fence, each.boot_id) for each in recall.open_runs]
    assert opened == [("run1", run.fence, recall.boot_id), ("run2", 0, recall.boot_id)]
    assert recall.same_boot
    assert [(fire.job, fire.fire_at) for fire in recall.claims] == [("late", fire.fire_at)]
    assert not recall.jobs["job"].is_new
    end(again, run)
    assert again.run("run1").outcome == "succeeded"  # type: ignore[union-attr]
    again.write(Batch(runs=(StoredRun("run9", "late", time.time(), "lost", fire_at=fire.fire_at, finished=1.0),)))
    assert claim(two, "late", fire.fire_at - 1).answer is START, f"{not_begun} is over"


def test_after_a_stop_in_order_nothing_waits_for_the_lease(nodes: Nodes, postgres: Database) -> None:
    one, two = nodes("one"), nodes("two")
    claim(one, "job", now() - 60)
    one.close()
    postgres.sql("update gcron.incarnation set host = 'elsewhere' where node = 'one'")
    nodes("one")
    assert claim(two, "job", now()).answer is START


def test_what_another_node_did_counts_at_a_start(nodes: Nodes) -> None:
    """Else each restart would make up fires, and report jobs as overdue, that other nodes have run."""
    one, two = nodes("one"), nodes("two")
    one.recall([job_of("job"), job_of("own")])
    one.close()
    at = now() + 1
    time_of_success = time.time() + 1
    fire = SharedFire("job", at)
    run = begin(two, "run1", fire, claim(two, "job", at).fence)
    two.write(Batch(runs=(replace(run, outcome="succeeded", finished=time_of_success),)))
    memory = nodes("one").recall([job_of("job"), job_of("own")]).jobs["job"]
    assert (memory.handled_until, memory.last_success, memory.is_new) == (at, time_of_success, False)


# -- what beats bring -------------------------------------------------------------------------------------------


def test_pauses_of_one_node_reach_the_others_once(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    first = beat(two)
    assert first.pauses == {}
    pause = Pause(10.5, None, "ann", "maintenance \udcff\0")
    one.write(Batch(pauses={"jöb\0": pause, "other": Pause(1.25)}))
    two.cluster.claim([SharedFire("jöb\0", 1)])
    told = beat(two, first)
    assert told.pauses == {"jöb\0": replace(pause, why="maintenance \\udcff\\x00"), "other": Pause(1.25)}
    assert beat(two, told).pauses is None
    one.write(Batch(pauses={"other": Pause(1.25)}))
    assert beat(two, told).pauses is None, "it is the same pause"
    one.write(Batch(pauses={"other": None}))
    assert set(beat(two, told).pauses or ()) == {"jöb\0"}


def test_successes_of_one_node_reach_the_others(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    first = beat(two)
    fire = SharedFire("job", now())
    run = begin(one, "run1", fire, one.cluster.claim([fire])[0].fence)
    assert beat(two, first).successes == {}
    one.write(Batch(runs=(replace(run, outcome="succeeded", finished=12.5),)))
    assert beat(two, first).successes == {"job": 12.5}
    assert beat(two, seen_success=first.now + 3600).successes == {}


def test_orders_reach_the_node_until_it_has_them(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    order = Order(0, "stop", "job", "run1", "ann", "too loud")
    one.cluster.send("two", order)
    first = beat(two)
    assert [replace(each, number=0) for each in first.orders] == [order]
    assert beat(two).orders == first.orders, "the answer may have been lost"
    assert beat(two, first).orders == ()
    assert beat(one).orders == ()


def test_an_order_has_the_name_of_the_job_as_its_node_knows_it(nodes: Nodes) -> None:
    """A service whose name is no UTF-8 was not found when it was to be stopped: its order had the stored form."""
    one, two = nodes("one"), nodes("two")
    two.cluster.claim([SharedFire("web\udcff", 0)])
    one.cluster.send("two", Order(0, "stop", "web\udcff", "", "ann", ""))
    (order,) = beat(two).orders
    assert order.job == "web\udcff"


def test_what_one_node_wrote_is_history_for_all(nodes: Nodes) -> None:
    one, two = nodes("one"), nodes("two")
    begin(one, "run1", SharedFire("job\0\udc80", now()), 0, why="zero \0, surrogate \ud800")
    (run,) = two.runs(RunQuery(job="job\0\udc80")).runs
    assert (run.job, run.node, run.why) == ("job\\x00\\udc80", "one", "zero \\x00, surrogate \\ud800")


# -- PgBouncer --------------------------------------------------------------------------------------------------


def test_all_of_it_works_through_pgbouncer_in_transaction_mode(
    bouncer: Bouncer, nodes: Nodes, postgres: Database
) -> None:
    one, two = nodes("one", postgres.url_at(bouncer.port)), nodes("two", postgres.url_at(bouncer.port))
    for n in range(10):
        fire = SharedFire(f"job{n}", now())
        first, second = one.cluster.claim([fire]), two.cluster.claim([fire])
        assert answers([*first, *second]) == [START, TAKEN]
        end(one, begin(one, f"run{n}", fire, first[0].fence))
        assert beat(one).holds
        assert beat(two).holds
    assert len(two.runs(RunQuery()).runs) == 10
    one.recall([job_of("job0")])
    one.prune()


def test_no_connection_is_ever_idle_in_a_transaction(nodes: Nodes, postgres: Database) -> None:
    """The process of a node may be stopped at any moment: its locks would keep the others from their claims."""
    one = nodes("one")
    claim(one, "job", now())
    one.write(Batch(pauses={"job": Pause(1.0)}))
    beat(one)
    idle = "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
    assert postgres.sql(idle) == "0"
