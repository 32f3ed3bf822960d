"""A node that starts while the database is away."""

from __future__ import annotations

import psutil
import pytest

from tests.cluster.rig import Rig
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


def test_runs_of_the_gcron_before_are_lost_as_soon_as_the_database_is_back(rig: Rig) -> None:
    """The new gcron had their claims and did not know them: their jobs were busy for the other nodes until its end."""
    until(lambda: all("1 job from" in each.log for each in rig.nodes.values()), "the start of both")
    first = rig.begins()[0]
    until(lambda: rig.database.sql(f"select pid from gcron.run where fence = {first.fence}") != "", "its row")
    node = rig.nodes[first.node]
    rig.database.server.stop("immediate")
    node.kill_all()
    node.start()
    until(lambda: node.log.count("1 job from") == 2, "the start without an answer")
    rig.database.server.start()
    outcome = f"select outcome, reason_code from gcron.run where fence = {first.fence}"
    until(lambda: rig.database.sql(outcome) == "lost|gcron-ended", "its end")
    until(lambda: {mark.node for mark in rig.begins()} == {"a", "b"}, "runs on both nodes")
    claimed = f"select state from gcron.claim where fence = {first.fence}"
    assert rig.database.sql(claimed) == "over"


def test_a_run_that_other_nodes_have_given_up_ends_when_its_node_is_back(rig: Rig) -> None:
    """Its gcron was killed, and was away for longer than its lease. The next one let it run beside later runs."""
    first = rig.begins()[0]
    node = rig.nodes[first.node]
    row = f"select pid from gcron.run where fence = {first.fence}"
    until(lambda: rig.database.sql(row) != "", "its row")
    process = psutil.Process(int(rig.database.sql(row)))
    node.kill()
    until(lambda: any(mark.node != first.node for mark in rig.begins()), "a run on the other node")
    assert process.is_running()
    node.start()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "its end")
    assert rig.database.sql(f"select outcome from gcron.run where fence = {first.fence}") == "lost"
