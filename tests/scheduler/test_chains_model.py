"""When a chained job runs: the scheduler beside a model that looks at the whole history each time.

The model knows only the starts and ends of runs, and the rule: a job is due when each job before it has had a success,
in a run that began after the job's last start. The scheduler keeps a round instead.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock

BEFORE = ("a", "b")
SECONDS = st.integers(0, 8)
STEPS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(BEFORE), SECONDS, st.booleans()),
    st.tuples(st.just("trigger"), SECONDS),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("wait"), st.integers(1, 6)),
)


class Model:
    """What is right, from the events alone."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        """By id, the place of a run's start among all events."""
        self.successes: list[tuple[str, int, int]] = []
        """Of jobs before: name, and the places of the start and the end of the run."""
        self.last_start = -1
        self.used_up = -1
        """The place of the last fire that was skipped: ends before it do not count any more."""
        self.is_paused = False
        self.place = 0
        self.expected = 0
        self.seen = 0

    def is_due(self) -> bool:
        fresh = {name for name, begun, ended in self.successes if begun > self.last_start and ended > self.used_up}
        return not self.is_paused and fresh >= set(BEFORE)

    def fire_if_due(self, is_running: bool) -> None:
        if not self.is_due():
            return
        if is_running:  # overlap=skip
            self.used_up = self.place
        else:
            self.expected += 1
            self.last_start = self.place


@settings(max_examples=2 * settings.default.max_examples)
@given(steps=st.lists(STEPS, min_size=8, max_size=40))
def test_a_chained_job_runs_when_the_rule_says_so(steps: list[tuple[Any, ...]]) -> None:
    clock = VirtualClock(0.0)
    with clock.installed():
        scheduler = Scheduler(clock=clock, logger=None)
        takes: dict[str, list[tuple[int, bool]]] = {name: [] for name in (*BEFORE, "chained")}

        def body(name: str) -> Any:
            def act() -> None:
                seconds, fails = takes[name].pop(0) if takes[name] else (3, False)
                sleep(seconds + 0.5)
                if fails:
                    raise ValueError("no")

            return act

        for name in BEFORE:
            scheduler.job("@manual", name=name, overlap="allow", greenlet=True)(body(name))
        scheduler.job("@after a,b", name="chained", greenlet=True)(body("chained"))
        model = Model()
        chained: set[str] = set()

        def started(event: Any) -> None:
            model.place += 1
            if event.job != "chained":
                model.begun[event.run_id] = model.place
                return
            chained.add(event.run_id)
            if event.fire_at is None:
                model.last_start = model.place
            else:
                model.seen += 1

        def finished(event: Any) -> None:
            model.place += 1
            if event.job == "chained":
                chained.discard(event.run_id)
            elif event.result.succeeded:
                model.successes.append((event.job, model.begun[event.run_id], model.place))
                model.fire_if_due(bool(chained))

        scheduler.on("run-started", started)
        scheduler.on("run-finished", finished)
        scheduler.start()
        for step, *what in steps:
            if step == "run":
                name, seconds, fails = what
                takes[name].append((seconds, fails))
                scheduler.trigger(name)
            elif step == "trigger" and not chained:
                takes["chained"].append((what[0], False))
                scheduler.trigger("chained")
            elif step == "pause":
                scheduler.pause("chained")
                model.is_paused = True
            elif step == "resume":
                scheduler.resume("chained")
                was_paused, model.is_paused = model.is_paused, False
                if was_paused:
                    model.fire_if_due(bool(chained))
            elif step == "wait":
                sleep(what[0] + 0.1)
            sleep(0.001)
            assert model.seen == model.expected
        sleep(100)
        assert model.seen == model.expected
        scheduler.stop(grace=0)
