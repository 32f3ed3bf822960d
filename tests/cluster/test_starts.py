"""A node that starts while the database is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.history import Mark, read_marks
from tests.cluster.rig import Rig
from tests.postgres import Database
from tests.shifted_clock import why_no_clock_can_be_set
from tests.waiting import until

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(why_no_clock_can_be_set() != "", reason=why_no_clock_can_be_set()),
]
CRONTAB = """\
# gcron-file: fields=seconds-first
# gcron: name=work
*/2 * * * * *  . "$RIG/note"; [ -e "$RIG/again" ] || { : >"$RIG/again"; exec sleep 1000; }
"""


@pytest.fixture
def rig(library_of_clocks: Path, tmp_path: Path, postgres: Database) -> Iterator[Rig]:
    """Two nodes. The first run of the job goes on."""
    made = Rig(postgres, library_of_clocks, tmp_path, "ab", CRONTAB)
    try:
        made.start()
        yield made
    finally:
        made.end()


def begins(rig: Rig) -> list[Mark]:
    return [mark for mark in read_marks(rig.lines, 0.0) if mark.verb == "begin"]


def test_runs_of_the_gcron_before_are_lost_as_soon_as_the_database_is_back(rig: Rig) -> None:
    """The new gcron had their claims and did not know them: their jobs were busy for the other nodes until its end."""
    until(lambda: all("1 job from" in each.log for each in rig.nodes.values()), "the start of both")
    first = begins(rig)[0]
    until(lambda: rig.database.sql(f"select pid from gcron.run where fence = {first.fence}") != "", "its row")
    node = rig.nodes[first.node]
    rig.database.server.stop("immediate")
    node.kill_all()
    node.start()
    until(lambda: node.log.count("1 job from") == 2, "the start without an answer")
    rig.database.server.start()
    outcome = f"select outcome, reason_code from gcron.run where fence = {first.fence}"
    until(lambda: rig.database.sql(outcome) == "lost|gcron-ended", "its end")
    until(lambda: {mark.node for mark in begins(rig)} == {"a", "b"}, "runs on both nodes")
    claimed = f"select state from gcron.claim where fence = {first.fence}"
    assert rig.database.sql(claimed) == "over"
