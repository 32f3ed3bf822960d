"""What a run used: processor time and memory, of real processes."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gcron.scheduler import RunResult
from gcron.supervise.outcome import Outcome
from gcron.supervise.usage import NO_USAGE, Usage, own_peak, usage_of

Perform = Callable[..., RunResult]

# Burns a quarter of a second of its own processor time, and prints how much it was.
BURN = f'{sys.executable} -c "import time\nwhile time.process_time() < 0.25: pass\nprint(time.process_time())"'


def printed(listening: Any) -> list[float]:
    return [float(line) for line in listening.out]


def test_processor_time_is_that_of_the_leader_and_the_children_it_waited_for(perform: Perform, listening: Any) -> None:
    result = perform(f"{BURN}\n{BURN}\nexit 3")
    assert result.outcome is Outcome.FAILED
    assert result.usage.cpu_seconds is not None
    assert len(printed(listening)) == 2
    # They ran one after the other. The kernel counts some of it by ticks.
    assert sum(printed(listening)) * 0.95 <= result.usage.cpu_seconds < result.duration + 0.1


def test_the_time_of_a_run_that_is_killed_counts(stop: Perform, listening: Any) -> None:
    busy = "import time\nwhile time.process_time() < 0.25: pass\nprint(time.process_time(), flush=True)\ntime.sleep(60)"
    result = stop(f'exec {sys.executable} -c "{busy}"', now=True)
    assert result.outcome is Outcome.KILLED
    assert result.usage.cpu_seconds is not None
    assert result.usage.cpu_seconds >= printed(listening)[0] * 0.95


def test_memory_is_that_of_the_largest_process(perform: Perform) -> None:
    size = own_peak() + 50_000_000
    result = perform(f'{sys.executable} -c "x = bytes(1) * {size}" & wait; true')
    assert result.usage.max_rss_bytes is not None
    assert size <= result.usage.max_rss_bytes < size + 100_000_000


def test_memory_below_that_of_gcron_is_not_known(perform: Perform) -> None:
    """The kernel gives a new process the peak of its parent: each `true` seemed to need as much as gcron itself."""
    result = perform("true")
    assert result.usage.max_rss_bytes is None
    assert result.usage.cpu_seconds is not None
    assert 0 <= result.usage.cpu_seconds < 1


def test_a_peak_counts_only_above_that_of_the_parent() -> None:
    measured = resource.getrusage(resource.RUSAGE_SELF)
    peak = measured.ru_maxrss * 1024
    assert usage_of(measured, peak).max_rss_bytes is None
    assert usage_of(measured, peak - 1).max_rss_bytes == peak
    assert usage_of(None, 0) is NO_USAGE


def test_a_run_that_never_had_a_process_used_nothing(perform: Perform) -> None:
    assert perform("true\0").usage == NO_USAGE


@pytest.mark.parametrize(
    ("earlier", "later", "together"),
    [
        (NO_USAGE, Usage(1.0, 5), Usage(1.0, 5)),
        (Usage(1.0, 5), NO_USAGE, Usage(1.0, 5)),
        (Usage(1.0, 5), Usage(0.5, 4), Usage(1.5, 5)),
        (Usage(0.0, None), Usage(0.5, 4), Usage(0.5, 4)),
    ],
)
def test_attempts_add_up_their_time_and_have_one_peak(earlier: Usage, later: Usage, together: Usage) -> None:
    assert earlier.plus(later) == together


def test_the_time_of_all_attempts_counts(scheduler: Any, tmp_path: Path) -> None:
    gcron, _ = scheduler
    times = tmp_path / "times"
    gcron.command(f"{BURN} >> {times}; exit 1", "@manual", name="job", retries=2, retry_delay=0)
    gcron.start()
    result = gcron.trigger("job").result.get(timeout=60)
    used = [float(line) for line in times.read_text().splitlines()]
    assert (result.attempts, len(used)) == (3, 3)
    assert result.usage.cpu_seconds >= sum(used) * 0.95


def test_a_function_in_a_thread_has_the_time_of_its_thread(scheduler: Any) -> None:
    def burn() -> float:
        while time.thread_time() < 0.25:
            pass
        return time.thread_time()

    gcron, _ = scheduler
    gcron.job("@manual", name="thread")(burn)
    gcron.job("@manual", name="greenlet", greenlet=True)(lambda: None)
    gcron.start()
    result = gcron.trigger("thread").result.get(timeout=60)
    assert result.usage.max_rss_bytes is None
    assert 0.2 <= result.usage.cpu_seconds <= result.value + 0.1
    assert gcron.trigger("greenlet").result.get(timeout=60).usage == NO_USAGE
