"""Two real nodes over a real PostgreSQL, as the commands show them; and what is refused before a start."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.state.places import instance_name, state_home
from tests.postgres import Bouncer, Database
from tests.waiting import until

CRONTAB = """\
# gcron: name=tick
@every 1s echo out of $GCRON_NODE
# gcron: name=long run-on=label:gpu
@manual sleep 1000
# gcron: name=talk run-on=label:gpu
@manual for n in 1 2 3; do echo said $n; sleep 1; done
# gcron: name=start
@reboot true
"""
SCHEDULED = "tick"


class Nodes:
    """Node a and node b; `ask` runs a command that talks to a."""

    def __init__(self, gcron: Callable[..., Any], crontab: str) -> None:
        self._gcron = gcron
        self._crontab = crontab

    def ask(self, command: str, *arguments: str) -> Any:
        return self._gcron(command, "--instance", self._crontab, *arguments)

    def json(self, command: str, *arguments: str) -> Any:
        return json.loads(self.ask(command, "--json", *arguments).stdout)


@pytest.fixture
def nodes(gcron: Any, gcron_run: Callable[..., Any], postgres: Database, tmp_path: Path) -> Iterator[Nodes]:
    files = [str(tmp_path / f"crontab{number}") for number in range(2)]
    for name, labels in (("a", ()), ("b", ("--labels", "gpu"))):
        gcron_run(CRONTAB, "--state", postgres.url, "--node", name, *labels).wait_for("jobs from")
    made = Nodes(gcron, files[0])
    until(lambda: len(made.json("status")["instance"]["nodes"]) == 2)
    yield made
    for file in files:
        shutil.rmtree(os.path.join(state_home(), instance_name([file])), ignore_errors=True)


@pytest.mark.realtime
def test_the_commands_show_all_nodes(nodes: Nodes) -> None:
    shown = until(lambda: _runs_of_both(nodes))
    assert len({run["fire_at"] for run in shown}) == len(shown), "each fire has one run"
    assert re.search(r"^NODE +STATE.*\na +this .*\nb +up .*gpu", nodes.ask("status").stdout, re.MULTILINE)
    assert re.search(r"NODE.*\n(.* [ab]\b.*\n)+", nodes.ask("history", "tick").stdout)
    assert set(re.findall(r"  ([ab])$", nodes.ask("history", "--node", "b", "tick").stdout, re.MULTILINE)) == {"b"}
    other = next(run for run in shown if run["node"] == "b" and run["outcome"])
    assert until(lambda: nodes.ask("logs", "tick", other["run_id"]).stdout) == "out of b\n"


@pytest.mark.realtime
def test_the_output_of_a_run_on_another_node_is_followed_to_its_end(
    nodes: Nodes, gcron: Callable[..., Any], tmp_path: Path
) -> None:
    gcron("trigger", "--instance", str(tmp_path / "crontab1"), "talk")
    (run,) = until(lambda: nodes.json("status", "talk")["running"])
    assert (run["node"], run["state"]) == ("b", "running")
    followed = nodes.ask("logs", "-f", "talk", run["run_id"])
    assert (followed.returncode, followed.stdout) == (0, "said 1\nsaid 2\nsaid 3\n"), followed.stderr


def _runs_of_both(nodes: Nodes) -> list[Any]:
    """The runs of the job, as soon as each node has had one."""
    lines = nodes.ask("history", "--json", "-n", "500", SCHEDULED).stdout.splitlines()
    runs = [json.loads(line) for line in lines]
    return runs if {run["node"] for run in runs if run["outcome"]} == {"a", "b"} else []


@pytest.mark.realtime
def test_a_job_of_another_node_is_shown_explained_and_stopped(
    nodes: Nodes, gcron: Callable[..., Any], tmp_path: Path
) -> None:
    assert "does not have the label gpu" in nodes.ask("status", "long").stdout
    gcron("trigger", "--instance", str(tmp_path / "crontab1"), "long")
    running = until(lambda: nodes.json("status", "long")["running"])
    assert running[0]["node"] == "b"
    stopped = nodes.ask("stop", "long", "--why", "a test")
    assert "by node b, which takes up to 5 s" in stopped.stdout
    ended = until(lambda: [run for run in nodes.json("status", "long")["last_runs"] if run["outcome"]])
    assert (ended[0]["outcome"], ended[0]["node"]) == ("killed", "b")
    assert "a test" in ended[0]["reason"]


@pytest.mark.realtime
def test_the_way_from_one_machine_to_two_and_back(
    gcron: Callable[..., Any], gcron_run: Callable[..., Any], postgres: Database, bouncer: Bouncer, tmp_path: Path
) -> None:
    """As docs/several-machines.md says, with PgBouncer before the database: each history stays where it is."""
    text, local = "# gcron: name=tick\n@every 1s true\n", ("--state", str(tmp_path / "local"))

    def local_runs() -> set[str]:
        lines = gcron("state", "export", *local).stdout.splitlines()
        return {run["run_id"] for line in lines if (run := json.loads(line)).get("job") == "tick"}

    alone = gcron_run(text, *local)
    alone.wait_for("tick +succeeded", 2)
    assert alone.stop() == 0
    before = local_runs()
    assert len(before) >= 2
    shared = ("--state", postgres.url_at(bouncer.port))
    members = [gcron_run(text, *shared, "--node", name) for name in "ab"]
    for member in members:
        member.wait_for("1 job from")
    until(lambda: postgres.sql("select count(distinct node) from gcron.run where outcome = 'succeeded'") == "2")
    assert [member.stop() for member in members] == [0, 0]
    twice = "select fire_at from gcron.run group by fire_at having count(*) > 1"
    assert postgres.sql(twice) == ""
    again = gcron_run(text, *local)
    again.wait_for("tick +succeeded")
    assert again.stop() == 0
    assert before < local_runs()
    for number in (1, 2):
        file = str(tmp_path / f"crontab{number}")
        shutil.rmtree(os.path.join(state_home(), instance_name([file])), ignore_errors=True)


# -- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--node", "a"), "--node: only with --state postgresql://"),
        (("--labels", "a,b", "--on-store-down", "run", "--state", "memory"), "--labels, --on-store-down: only with"),
        (("--state", "postgresql:///x", "--node", "a/b"), "'a/b' is no name"),
        (("--state", "postgresql:///x", "--labels", "a,,b"), "'' is no name"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    gcron: Callable[..., Any], write: Callable[..., str], options: tuple[str, ...], words: str
) -> None:
    result = gcron("run", *options, write("@daily true\n"))
    assert result.returncode == 2
    assert words in result.stderr


def test_run_refuses_what_machines_cannot_share_with_its_place(
    gcron: Callable[..., Any], write: Callable[..., str]
) -> None:
    file = write("# gcron: overlap=queue\n@daily true\n")
    result = gcron("run", file, GCRON_STATE="postgresql://127.0.0.1:1/x")
    assert result.returncode == 1
    assert f"{file}:2:1: error: overlap=queue is not offered" in result.stderr
    assert f"gcron check --state postgresql:// {file}" in result.stderr
    assert gcron("check", "--state", "postgresql://", file).returncode == 1
    assert gcron("check", file).returncode == 0


def test_a_service_of_one_node_that_a_start_leaves_alone_is_refused(
    gcron: Callable[..., Any], write: Callable[..., str]
) -> None:
    """With `orphans=leave` it had two copies after its gcron was killed."""
    for run_on, status in (("one", 1), ("every", 0)):
        file = write(f"# gcron: name=s run-on={run_on} orphans=leave\n@service true\n")
        result = gcron("check", "--state", "postgresql://", file)
        assert result.returncode == status
        assert ("orphans=leave is not offered" in result.stdout + result.stderr) == bool(status)


def test_a_password_in_the_command_line_is_warned_about(
    gcron_run: Callable[..., Any], postgres: Database, tmp_path: Path
) -> None:
    url = postgres.url.replace("@", ":geheim@", 1)
    daemon = gcron_run("@daily true\n", "--state", url)
    daemon.wait_for("1 job from")
    shutil.rmtree(os.path.join(state_home(), instance_name([str(tmp_path / "crontab0")])), ignore_errors=True)
    assert "the password in --state can be seen by others" in daemon.errors
    assert "geheim" not in daemon.errors + daemon.log
