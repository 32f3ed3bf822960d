"""Faults for several nodes, from a seed: a plan, which is data, and its execution."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.cluster.history import Fault
from tests.cluster.rig import Rig

__all__ = ["Step", "execute", "plan"]

# Seconds from one fault to the next, and how long each lasts.
BETWEEN = (1.0, 4.0)
DOWN = (0.5, 8.0)
LASTS = {
    "pause": (1.0, 20.0),
    "freeze": (1.0, 20.0),
    "kill": DOWN,
    "stop": DOWN,
    "skew": (3.0, 12.0),
    "slow": (2.0, 8.0),
}
"""Of those that hit one node: `pause` stops all its processes, `freeze` its network, `slow` delays its packets, `stop`
ends it in order."""
OUTAGE = 8.0
SKEWS = (5.0, -5.0, 0.4)
DELAY = 0.15
"""Seconds of `slow`, each way."""
WEIGHTS = {
    "pause": 4,
    "freeze": 4,
    "kill": 4,
    "stop": 2,
    "skew": 3,
    "slow": 1,
    "cut": 2,
    "terminate": 2,
    "restart": 2,
    "outage": 1,
}


@dataclass(frozen=True, slots=True)
class Step:
    """A fault to come."""

    at: float
    """Seconds from the start of the plan."""
    kind: str
    node: str = ""
    """Empty: the database."""
    lasts: float = 0.0
    skew: float = 0.0


def plan(seed: int, seconds: float, nodes: Sequence[str]) -> list[Step]:
    """Return the faults of so many seconds, the same for each seed.

    At any moment one node has no fault of its own, so each fire can start in time, except while the database is away.
    """
    random = Random(seed)
    steps: list[Step] = []
    free_at = dict.fromkeys(nodes, 0.0)
    database_free_at = 0.0
    at = random.uniform(*BETWEEN)
    while at < seconds:
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        free = [node for node in nodes if free_at[node] <= at]
        if kind in LASTS or kind == "cut":
            if len(free) > 1:
                node = random.choice(free)
                lasts = random.uniform(*LASTS[kind]) if kind in LASTS else 0.0
                skew = random.choice(SKEWS) if kind == "skew" else 0.0
                steps.append(Step(at, kind, node, lasts, skew))
                free_at[node] = at + lasts + 1
        elif database_free_at <= at:
            steps.append(Step(at, kind, lasts=OUTAGE if kind == "outage" else 0.0))
            database_free_at = at + OUTAGE + 1 if kind == "outage" else at + 1
        at += random.uniform(*BETWEEN)
    return steps


def execute(steps: Sequence[Step], rig: Rig) -> list[Fault]:
    """Do what the plan says, and return what was done, and when. At the end nothing is left of it."""
    begin = time.monotonic()
    faults: list[Fault] = []
    open_steps: list[tuple[float, Step, float]] = []  # when it ends, what it is, when it began (seconds of UTC)
    waiting = sorted(steps, key=lambda step: step.at)
    while waiting or open_steps:
        open_steps.sort(key=lambda each: each[0])
        ends_first = open_steps and (not waiting or open_steps[0][0] <= waiting[0].at)
        due = open_steps[0][0] if ends_first else waiting[0].at
        time.sleep(max(0.0, begin + due - time.monotonic()))
        if ends_first:
            _, step, since = open_steps.pop(0)
            _end(step, rig)
            faults.append(Fault(step.kind, step.node, since, time.time()))
        else:
            step, since = waiting.pop(0), time.time()
            _begin(step, rig)
            open_steps.append((max(due + step.lasts, time.monotonic() - begin), step, since))
    return faults


def _begin(step: Step, rig: Rig) -> None:
    if step.kind == "terminate":
        assert rig.database.server.is_running, f"the server has ended:\n{rig.database.server.log[-3000:]}"
        rig.database.server.terminate_connections()
    elif step.kind == "restart":
        rig.database.server.restart("immediate")
    elif step.kind == "outage":
        rig.database.server.stop("immediate")
    else:
        node = rig.nodes[step.node]
        match step.kind:
            case "pause":
                node.pause()
            case "freeze":
                node.proxy.freeze()
            case "slow":
                node.proxy.delay = DELAY
            case "kill":
                node.kill()
            case "stop":
                node.stop()
            case "skew":
                node.clock.shift_to(step.skew)
            case "cut":
                node.proxy.cut()


def _end(step: Step, rig: Rig) -> None:
    if step.kind == "outage":
        rig.database.server.start()
    elif step.node:
        node = rig.nodes[step.node]
        match step.kind:
            case "pause":
                node.resume()
            case "freeze":
                node.proxy.thaw()
            case "slow":
                node.proxy.delay = 0.0
            case "kill" | "stop":
                node.start()
            case "skew":
                node.clock.shift_to(0.0)
