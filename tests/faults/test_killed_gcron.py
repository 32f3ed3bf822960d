"""After gcron itself was killed: the next one names what is left, and leaves nobody stopped."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.faults.conftest import WITHOUT_GROUPS
from tests.waiting import until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]


@pytest.mark.realtime
@pytest.mark.parametrize("before", [(), WITHOUT_GROUPS], ids=["", "without-control-groups"])
def test_the_next_gcron_names_what_is_left_and_continues_what_was_stopped(
    gcron_run: Run, marked_processes: Find, unique: str, before: tuple[str, ...]
) -> None:
    """After KILL, everything ran twice without a word, and a kill that was under way left 364 processes stopped.

    A gcron with other crontabs named it, too: on a machine with two gcrons, each start of one warned of the other's.
    """
    if before and os.geteuid() != 0:
        pytest.skip("only root can have other mounts")
    text = f"# gcron: name=backup-{unique}\n@reboot sleep {unique} & setsid sleep {unique} & exec sleep {unique}\n"
    first = gcron_run(text, "--instance", unique, before=before)
    until(lambda: len(marked_processes(f"sleep {unique}")) == 3, "the processes of the job")
    pids = marked_processes(f"sleep {unique}")
    try:
        first.process.kill()
        first.wait()
        os.kill(pids[0], signal.SIGSTOP)
        stranger = gcron_run("@daily true\n", before=before)
        second = gcron_run("@daily true\n", "--instance", unique, before=before)
        (named,) = second.wait_for(
            f"backup-{unique} still runs: a gcron that has ended left (.*); this gcron neither waits"
        )
        assert {int(pid) for pid in re.findall(r"pid (\d+)", named)} == set(pids)
        # Any gcron that starts now continues it: also one of other crontabs, such as that of another test.
        until(lambda: {psutil.Process(pid).status() for pid in pids} == {psutil.STATUS_SLEEPING}, "that all go on")
        assert second.stop() == 0
        assert f"backup-{unique}" not in stranger.log
        assert stranger.stop() == 0
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.realtime
def test_runs_of_a_gcron_that_lives_are_no_leftovers(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    first = gcron_run(f"# gcron: name=backup-{unique}\n@reboot sleep {unique}\n", "--grace", "0s")
    until(lambda: marked_processes(f"sleep {unique}"), "the job")
    second = gcron_run("# gcron: name=beat\n@every 1s true\n")
    second.wait_for("beat +succeeded", 2)  # it has looked before that
    assert f"sleep {unique}" not in second.log
    assert f"backup-{unique} still runs" not in second.log
    assert second.stop() == 0
    assert first.stop() == 3
