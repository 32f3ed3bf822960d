"""Random operations on services: no service ever has two lives, and the last state is the wanted one.

The services are functions on a virtual clock. Each counts its lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcron.greenlet import GreenletExit, sleep
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Scheduler, ServiceState
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

NAMES = ("db", "cache", "web")
AFTER = {"db": "", "cache": "db", "web": "cache,db"}


class World:
    """A scheduler and the expected state of its services."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.scheduler = Scheduler(clock=clock)
        self.living: Counter[str] = Counter()
        self.deadly: set[str] = set()
        """Those whose lives end at once."""
        self.table: dict[str, Job] = {}
        self.ended_at: dict[str, float] = {}
        """Those ended by hand, and when they were told and did: who is told in that same instant that they are ready
    begins all the same."""
        self.violations: list[str] = []

    def body(self, name: str, version: int) -> Callable[[], Any]:
        def live() -> None:
            self.living[name] += 1
            if self.living[name] > 1:
                self.violations.append(f"two lives of {name}")
            for other in self.table[name].policy.after:
                was_ready = other in self.deadly or self.ended_at.get(other) == self.clock.now()
                if not self.living[other] and not was_ready:
                    self.violations.append(f"{name} before {other}")
            try:
                if name not in self.deadly:
                    sleep(1e7)
                raise RuntimeError("dead")
            except GreenletExit:
                sleep(version)  # takes some time to end
                raise
            finally:
                self.living[name] -= 1
                if name in self.ended_at:
                    self.ended_at[name] = self.clock.now()

        return live

    def define(self, wanted: dict[str, tuple[int, bool]]) -> None:
        """Replace the job table by services with these versions, enabled or not."""
        table = {}
        for name, (version, enabled) in wanted.items():
            after = [other for other in AFTER[name].split(",") if other in wanted]
            policy = Policy.from_options({"after": after, "enabled": enabled, "description": f"{version}"})
            old = self.table.get(name)
            same = old is not None and old.policy == policy
            action = old.action if old is not None and same else PythonCall(self.body(name, version), greenlet=True)
            table[name] = Job(name, parse("@service"), action, policy)
        self.table = table
        self.scheduler.replace(table.values())


tables = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 3), st.booleans()))
steps = st.one_of(
    st.tuples(st.just("define"), tables),
    st.tuples(st.just("wait"), st.floats(0, 10)),
    st.tuples(st.just("deadly"), st.sets(st.sampled_from(NAMES))),
    st.tuples(st.just("trigger"), st.sampled_from(NAMES)),
    st.tuples(st.just("end-life"), st.sampled_from(NAMES)),
)


@settings(max_examples=150)
@example(
    first={"db": (1, True), "cache": (0, False)},
    history=[("wait", 1.0), ("trigger", "cache"), ("end-life", "db"), ("deadly", {"cache"}), ("wait", 1.0)],
)
@given(first=tables, history=st.lists(steps, max_size=12))
def test_services_agree_with_a_model_of_their_states(
    first: dict[str, tuple[int, bool]], history: list[tuple[str, Any]]
) -> None:
    clock = VirtualClock(0.0)
    with clock.installed():
        world = World(clock)
        world.define(first)
        world.scheduler.start()
        for step, what in history:
            act(world, step, what)
        world.deadly = set()
        sleep(1000)
        for name, status in world.scheduler.services.items():
            job = world.table[name]
            blocked = any(world.scheduler.services[other].run is None for other in job.policy.after)
            assert (status.run is not None) == (world.living[name] == 1) or status.state is ServiceState.STARTING
            if job.policy.enabled and not blocked:
                assert status.state in (ServiceState.READY, ServiceState.STARTING)
                waits = status.state is ServiceState.STARTING
                assert not waits or any(
                    world.scheduler.services[other].state is not ServiceState.READY for other in job.policy.after
                )
        assert all(name in world.table for name, count in world.living.items() if count)

        report = world.scheduler.stop()

        assert (+world.living, report.killed, report.left_behind) == (Counter(), (), ())
        assert world.violations == []
        assert all(status.state is ServiceState.STOPPED for status in world.scheduler.services.values())


def act(world: World, step: str, what: Any) -> None:
    if step == "define":
        world.define(what)
    elif step == "wait":
        sleep(what)
    elif step == "deadly":
        world.deadly = what
    elif what not in world.table:
        return
    elif step == "trigger":
        world.scheduler.trigger(what)
    elif (run := world.scheduler.services[what].run) is not None:
        world.ended_at[what] = world.clock.now()
        run.stop(reason="ended by hand")
