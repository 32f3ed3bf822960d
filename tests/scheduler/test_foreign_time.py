"""Schedulers in tests that freeze or set time by other means than gcron's: freezegun and time-machine."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine

from tests.waiting import PATIENCE, until

# So late that no test runs then, and so early that all ran after it.
FUTURE = datetime(2060, 1, 1, 8, 59, 59, tzinfo=UTC)
PAST = datetime(2001, 1, 1, 8, 59, 59, tzinfo=UTC)


class FrozenByFreezegun:
    def __init__(self, moment: datetime) -> None:
        self._freezer = freezegun.freeze_time(moment)

    def __enter__(self) -> FrozenByFreezegun:
        self._frozen = self._freezer.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._freezer.stop()

    def move_to(self, moment: datetime) -> None:
        self._frozen.move_to(moment.replace(tzinfo=None))


class FrozenByTimeMachine:
    def __init__(self, moment: datetime) -> None:
        self._travel = time_machine.travel(moment, tick=False)

    def __enter__(self) -> FrozenByTimeMachine:
        self._traveller = self._travel.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._travel.stop()

    def move_to(self, moment: datetime) -> None:
        self._traveller.move_to(moment)


@pytest.mark.realtime
@pytest.mark.parametrize("freeze", [FrozenByFreezegun, FrozenByTimeMachine])
@pytest.mark.parametrize("moment", [FUTURE, PAST])
def test_jobs_follow_a_time_that_a_test_has_set(make_scheduler: Any, freeze: Any, moment: datetime) -> None:
    """In a future, jobs were dead until that date in real life. In a past, the loop spun without an end."""
    with freeze(moment) as frozen:
        scheduler, recorder = make_scheduler(timezone="UTC")
        fired = threading.Event()
        scheduler.job("0 9 * * *", name="job")(fired.set)
        scheduler.start_thread(grace=0)
        looks = 0
        watch = scheduler._watch._look

        def count() -> None:
            nonlocal looks
            looks += 1
            watch()

        scheduler._watch._look = count
        time.sleep(0.3)
        assert looks < 30, "the loop does not spin"
        assert not fired.is_set()
        frozen.move_to(moment + timedelta(seconds=1))
        assert fired.wait(PATIENCE)
        until(lambda: recorder.outcomes("job"))
        assert recorder.of("run-finished", "job")[0].fire_at == (moment + timedelta(seconds=1)).timestamp()
        scheduler.stop()
