"""The one copy of a service, when its node loses it and is itself still there."""

from __future__ import annotations

import pytest

from tests.cluster.history import Mark, read_marks
from tests.cluster.rig import Rig
from tests.shifted_clock import why_no_clock_can_be_set
from tests.waiting import until

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(why_no_clock_can_be_set() != "", reason=why_no_clock_can_be_set()),
]
CRONTAB = """\
# gcron: name=watch run-on=one
@service  . "$RIG/note"; while sleep 0.3; do note alive; done
"""


def test_a_service_that_ended_with_its_node_starts_again_with_it(rig: Rig) -> None:
    """systemd kills all processes of a service that it starts again: nobody ran it until the node was away for long."""
    rig.nodes["a"].kill_all()
    rig.nodes["a"].start()
    until(lambda: len(rig.begins()) == 2, "the second copy")
    first, second = rig.begins()
    assert (first.node, second.node) == ("a", "a")
    assert first.fence < second.fence


def test_a_service_that_ended_with_the_lease_starts_again(rig: Rig) -> None:
    """The lease of its node had nearly run out, and no other node could give it up: nobody ran it from then on."""
    for node in rig.nodes.values():
        node.proxy.freeze()
    until(lambda: "lease lost" in rig.nodes["a"].log, "the end of the lease")
    # As if it had come in time: the database did not see that the lease ended.
    rig.database.sql("update gcron.incarnation set lease_until = lease_until + 60")
    for node in rig.nodes.values():
        node.proxy.thaw()
    until(lambda: len(rig.begins()) == 2, "the second copy")
    first, second = rig.begins()
    assert first.fence < second.fence


def last_line(rig: Rig, copy: Mark) -> Mark:
    return [mark for mark in read_marks(rig.lines, 0.0) if mark.fence == copy.fence][-1]


def test_a_service_that_is_found_while_the_database_is_away_ends(rig: Rig) -> None:
    """The new gcron did not know how long the lease of the one before held. So there were two copies, for ever."""
    first = rig.nodes["a"]
    until(lambda: rig.database.sql("select 1 from gcron.run where fence > 0") != "", "its row")
    rig.database.server.stop("immediate")
    first.kill()
    first.start()
    until(lambda: "it is adopted" in first.log, "the adoption")
    until(lambda: "lease lost" in first.log, "its end")
    rig.database.server.start()
    until(lambda: len(rig.begins()) == 2, "the second copy")
    one, other = rig.begins()
    assert last_line(rig, one).at < other.at
    assert one.fence < other.fence


def test_a_service_that_another_node_has_by_now_ends_when_its_node_is_back(rig: Rig) -> None:
    """Its gcron was killed, and was away for longer than its lease. The next one adopted it beside the other copy."""
    first = rig.nodes["a"]
    first.kill()
    until(lambda: len(rig.begins()) == 2, "the second copy")
    one, other = rig.begins()
    assert (one.node, other.node) == ("a", "b")
    first.start()
    until(lambda: "lease lost" in first.log, "the end of the first copy")
    ended = last_line(rig, one)
    until(lambda: last_line(rig, other).at > ended.at + 2, "the second copy alone")
    assert last_line(rig, one) == ended
    assert len(rig.begins()) == 2
