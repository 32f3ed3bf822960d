"""The watch of the clock outlives errors: without it nothing would ever run again."""

from __future__ import annotations

from typing import Any

import pytest

from gcron.scheduler.watch import Watch
from tests.waiting import until


@pytest.mark.realtime
def test_the_watch_goes_on_after_an_error(
    make_scheduler: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the clock beyond 2262, the watch died for good. gcron then looked alive, ran nothing and ignored TERM."""
    look = Watch._look_at_clock
    errors = [OverflowError("timestamp too large to convert to C _PyTime_t")]

    def fail_once(self: Watch) -> Any:
        if errors:
            raise errors.pop()
        return look(self)

    monkeypatch.setattr(Watch, "_look_at_clock", fail_once)
    scheduler, recorder = make_scheduler()
    scheduler.command("true", "@every 1s", name="beat")
    scheduler.start()
    until(lambda: recorder.outcomes("beat"), "a run after the error")
    assert recorder.outcomes("beat")[0] == "succeeded"
    assert "the watch of the clock, which goes on after 1 s" in capsys.readouterr().err
