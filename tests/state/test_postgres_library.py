"""Schedulers of programs that share a PostgreSQL database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gcron.errors import ArgumentError, JobError, StateError
from gcron.scheduler import Scheduler
from gcron.state.places import state_home
from tests.postgres import Database
from tests.waiting import until

Make = Callable[..., tuple[Scheduler, Any]]


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Names of two nodes, whose directories are in the usual place."""
    found = [f"test-{os.urandom(6).hex()}" for _ in "ab"]
    yield found
    for name in found:
        shutil.rmtree(os.path.join(state_home(), f"node-{name}"), ignore_errors=True)


@pytest.mark.realtime
def test_two_schedulers_share_the_fires_of_a_job(make_scheduler: Make, postgres: Database, names: list[str]) -> None:
    made = [make_scheduler(state=postgres.url, node=name)[0] for name in names]
    for scheduler in made:
        scheduler.command("true", "@every 1s", name="job")
        scheduler.start()
    runs = until(lambda: _ended_on_both(made[0], names))
    assert len({run.due for run in runs}) == len(runs)
    assert {node.node for node in made[1].nodes} == set(names)


def _ended_on_both(scheduler: Scheduler, names: list[str]) -> list[Any]:
    """The runs, as soon as each node has had one."""
    runs = scheduler.history("job", limit=500)
    stored = [scheduler.store.run(run.run_id) for run in runs]
    return runs if {each.node for each in stored if each is not None and each.outcome} == set(names) else []


def test_a_node_name_is_for_one_scheduler_of_a_machine(
    make_scheduler: Make, postgres: Database, names: list[str]
) -> None:
    first, second = (make_scheduler(state=postgres.url, node=names[0])[0] for _ in range(2))
    first.start()
    with pytest.raises(StateError, match="give this one another node="):
        second.start()


def test_what_nodes_cannot_share_is_refused(make_scheduler: Make, postgres: Database, names: list[str]) -> None:
    scheduler, _ = make_scheduler(state=postgres.url, node=names[0])
    with pytest.raises(JobError, match="overlap=queue is not offered"):
        scheduler.command("true", "@daily", name="job", overlap="queue")
    scheduler.command("true", "@daily", name="job", overlap="queue", run_on="every")


def test_a_name_that_no_index_of_postgresql_takes_is_refused(
    make_scheduler: Make, postgres: Database, names: list[str]
) -> None:
    """The claim of such a job failed, and with it those of all jobs that were due at the same time: none started."""
    scheduler, _ = make_scheduler(state=postgres.url, node=names[0])
    for name, run_on in (("x" * 601, "one"), ("\0" * 601, "every"), ("\udc80" * 201, "one")):
        with pytest.raises(JobError, match="is too long: 600 bytes at most"):
            scheduler.command("true", "@daily", name=name, run_on=run_on)
    scheduler.command("true", "@daily", name="x" * 600)


@pytest.mark.parametrize(
    "options",
    [
        {"node": "a"},
        {"state": "memory", "labels": ["a"]},
        {"state": "postgresql:///x", "node": "a/b"},
        {"state": "postgresql:///x", "on_store_down": "wait"},
    ],
)
def test_options_of_nodes_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Scheduler(**options)
