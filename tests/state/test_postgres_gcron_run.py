"""`gcron run` with its state in PostgreSQL: killed, started again, and while the server is away."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from gcron.state.places import state_home
from tests.postgres import Database
from tests.waiting import until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]


@pytest.fixture
def instance() -> Iterator[str]:
    """A name of an instance, whose directory is in the usual place."""
    name = f"test-{os.urandom(6).hex()}"
    yield name
    shutil.rmtree(os.path.join(state_home(), name))


@pytest.fixture(autouse=True)
def _end_what_is_left(marked_processes: Find, unique: str) -> Iterator[None]:
    yield
    for pid in marked_processes(unique):
        with suppress(psutil.Error):
            psutil.Process(pid).kill()


def runs_of(instance: str) -> str:
    """Its table of runs."""
    return f'"gcron_{instance}".run'


def outcomes(postgres: Database, instance: str, job: str) -> list[str]:
    return postgres.sql(f"select outcome from {runs_of(instance)} where job = '{job}' order by number").split("\n")


def test_a_job_goes_on_as_the_same_run(
    gcron_run: Run, postgres: Database, unique: str, marked_processes: Find, instance: str
) -> None:
    text = f"# gcron: name=long\n@reboot exec sleep {unique}\n# gcron: name=short\n* * * * * true\n"
    first = gcron_run(text, "--state", postgres.url, "--instance", instance)
    first.wait_for(r"long +started \(pid [0-9]+")
    (pid,) = until(lambda: marked_processes(unique))
    until(lambda: postgres.sql(f"select pid from {runs_of(instance)} where job = 'long'") == str(pid))
    first.send(signal.SIGKILL)
    first.wait()
    second = gcron_run(text, "--state", postgres.url, "--instance", instance)
    second.wait_for(f"long +an earlier gcron left it running: pid {pid} .*; it is adopted")
    psutil.Process(pid).terminate()
    until(lambda: "unknown-exit" in outcomes(postgres, instance, "long"))
    assert (
        postgres.sql(
            f"select count(distinct run_id) from {runs_of(instance)} where started is not null and job = 'long'"
        )
        == "1"
    )


def test_runs_while_the_server_is_away_are_written_when_it_is_back(
    gcron_run: Run, postgres: Database, instance: str
) -> None:
    daemon = gcron_run("# gcron: name=often\n@every 1s echo said\n", "--state", postgres.url, "--instance", instance)
    daemon.wait_for("jobs? from")
    until(lambda: outcomes(postgres, instance, "often").count("succeeded") > 1)
    postgres.server.stop("immediate")
    daemon.wait_for("the store does not work")
    postgres.server.start()
    daemon.wait_for("the store works again")
    until(lambda: outcomes(postgres, instance, "often").count("succeeded") > 4)
    assert postgres.sql(f'select count(*) from "gcron_{instance}".output') != "0"
