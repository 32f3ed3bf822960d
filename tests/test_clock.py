"""The clock of the machine and its time zone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gcron.schedule.clock import SystemClock, local_timezone

BERLIN = "/usr/share/zoneinfo/Europe/Berlin"


def test_the_system_clock_has_wall_time_and_a_time_that_nobody_sets() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 1
    assert clock.monotonic() <= clock.monotonic()
    assert clock.longest_nap <= 60


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system does not count a suspend")
def test_a_suspend_counts_as_time_that_passed() -> None:
    """CLOCK_MONOTONIC stops during a suspend, so a night of suspend looked like a step of eight hours."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SystemClock().monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_tz_can_be_the_name_of_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("Europe/Berlin", ":Europe/Berlin"):
        monkeypatch.setenv("TZ", value)
        assert local_timezone() == ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", "")
    assert local_timezone() == UTC


@pytest.mark.skipif(not Path(BERLIN).exists(), reason="this machine has no zone files")
def test_tz_can_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", f":{BERLIN}")
    assert local_timezone() == ZoneInfo("Europe/Berlin")
    (tmp_path / "zone").write_bytes(Path(BERLIN).read_bytes())
    monkeypatch.setenv("TZ", str(tmp_path / "zone"))
    assert local_timezone().utcoffset(None) is None


@pytest.mark.parametrize("value", ["Mars/Olympus", "CET-1CEST", "/etc/passwd", "/no/such", "../../etc/passwd", "a\nb"])
def test_an_unknown_zone_in_tz_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TZ", value)
    with pytest.raises(ValueError, match="unknown time zone"):
        local_timezone()


def test_without_tz_the_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()
    try:
        for instant in (1_767_225_600, 1_782_864_000):  # in January and in July
            offset = datetime.fromtimestamp(instant, local_timezone()).utcoffset()
            assert offset == timedelta(seconds=time.localtime(instant).tm_gmtoff)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_beyond_2262_the_clock_shows_its_last_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python counts nanoseconds in 64 bits, and raised OverflowError in whatever asked for the time."""

    def overflow() -> float:
        raise OverflowError("timestamp too large to convert to C _PyTime_t")

    monkeypatch.setattr(time, "time", overflow)
    assert SystemClock().now() == (2**63 - 1) // 10**9
