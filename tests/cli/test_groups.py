"""Groups across several files, and after a reload of `gcron run`."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Gcron = Callable[..., Any]
Write = Callable[..., str]


def test_a_group_covers_all_files_and_has_one_limit(gcron: Gcron, write: Write) -> None:
    write("# gcron-group: db limit=2\n", "a")
    write("# gcron: group=db\n@daily true\n", "b")
    assert gcron("check", "a", "b").stdout == "a, b: 1 job, 0 errors, 0 warnings\n"
    assert gcron("check", "b").stderr == (
        "b:2:1: error: there is no group db\n  hint: declare it: # gcron-group: db limit=1\n"
    )
    assert gcron("run", "b").returncode == 1
    assert gcron("next", "b").returncode == 0, "when it is due does not depend on that"
    write("# gcron-group: db limit=3\n", "c")
    assert gcron("check", "a", "b", "c").stderr == (
        "c:1:1: error: the group db has limit=2 in a:1\n  hint: give it one limit, or another name\n"
    )


GROUPED = """\
# gcron-group: db limit=1
# gcron-defaults: group=db
# gcron: name=first
@reboot sleep 60
# gcron: name=second
@reboot sleep 60
"""


@pytest.mark.realtime
def test_a_reload_changes_the_limit_of_a_group(gcron_run: Callable[..., Any], tmp_path: Path) -> None:
    daemon = gcron_run(GROUPED, "--no-watch", "--grace", "0")
    daemon.wait_for(r"  first +started")
    daemon.wait_for(r"  second +waits for its turn in the group db: 1 of 1 running \(first\)$")
    crontab = tmp_path / "crontab0"
    crontab.write_text(GROUPED.replace("group=db", "group=dbb"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("nothing is changed, for what was read is wrong:")
    daemon.wait_for("there is no group dbb")
    crontab.write_text(GROUPED.replace("limit=1", "limit=2"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(r"  second +started")
    assert len(re.findall(r"  first +started", daemon.log)) == 1
    daemon.stop()
    assert len(re.findall(r"(first|second) +killed", daemon.log)) == 2
