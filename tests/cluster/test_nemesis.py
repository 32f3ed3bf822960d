"""Real nodes under a nemesis: whatever is paused, cut off, killed, restarted or skewed, no fire starts twice.

A minute with a fixed seed by default. `pytest tests/cluster --nemesis 10 --seed 7` for longer.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.checker import LEASE, Report, check
from tests.cluster.history import Fault
from tests.cluster.nemesis import execute, plan
from tests.cluster.rig import JOBS, Rig
from tests.postgres import Postgres, why_no_postgres
from tests.shifted_clock import why_no_clock_can_be_set

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(why_no_postgres() != "", reason=why_no_postgres()),
    pytest.mark.skipif(why_no_clock_can_be_set() != "", reason=why_no_clock_can_be_set()),
]
SETTLING = 75.0
"""Seconds in which what was lost is found, and started again. What nobody has started is reported after a minute."""
BROKEN = """
    CREATE OR REPLACE FUNCTION gcron.claim(me bigint, fires jsonb) RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_agg(jsonb_build_array('start', nextval('gcron.fence'), '', 0) ORDER BY place)
        FROM jsonb_to_recordset(fires) AS f(place integer)
    $$
"""


@pytest.fixture
def rig(library_of_clocks: Path, tmp_path: Path) -> Iterator[Rig]:
    """Three nodes with a server of their own, which keeps what it has committed."""
    server = Postgres({"fsync": "on"})
    try:
        server.start()
        made = Rig(server.new_database(), library_of_clocks, tmp_path)
        yield made
        made.end()
    finally:
        server.remove()


def report(rig: Rig, begin: float, end: float, faults: list[Fault], settling: float = SETTLING) -> Report:
    """Wait until each fire is decided, end the nodes, and check what they did."""
    deadline = time.monotonic() + settling
    time.sleep(min(settling, LEASE))
    while time.monotonic() < deadline and check(rig.history(begin, end, faults), JOBS).violations:
        time.sleep(1)
    statuses = {name: node.stop() for name, node in rig.nodes.items()}
    history = rig.history(begin, end, faults)
    rig.logs.joinpath("history").write_text(str(history))
    seen = check(history, JOBS)
    assert set(statuses.values()) == {0}, f"{statuses}\n{seen}"
    return seen


def test_no_fire_starts_twice_and_none_is_missed(
    rig: Rig, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 60 * pytestconfig.getoption("--nemesis")
    seed = pytestconfig.getoption("--seed")
    faulthandler.cancel_dump_traceback_later()  # it may take as long as it is told to
    rig.start()
    begin = time.time() + 1
    faults = execute(plan(seed, seconds, list(rig.nodes)), rig)
    seen = report(rig, begin, time.time(), faults)
    with capsys.disabled():
        print(f"\nseed {seed}, {seconds:g} s\n{seen}")
    assert seen.violations == []


def test_a_broken_claim_is_caught(rig: Rig) -> None:
    """Each node is told that it may start each fire."""
    rig.start()
    rig.database.sql(BROKEN)
    begin = time.time() + 1
    time.sleep(6)
    seen = report(rig, begin, time.time(), [], settling=5)
    assert seen.count("double") >= 3, str(seen)
