"""Callbacks of links that were made before a wait have begun when the wait returns, in the order of their links.

They ran after the waiter: a program that ended with `greenlet.link(report); greenlet.join()` reported nothing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import gcron
from gcron.event import AsyncResult
from gcron.pool import Group, Pool
from gcron.threadpool import ThreadPool

WAITS: dict[str, Callable[[list[gcron.Greenlet]], Any]] = {
    "join": lambda greenlets: [greenlet.join() for greenlet in greenlets],
    "join within": lambda greenlets: [greenlet.join(timeout=5) for greenlet in greenlets],
    "get": lambda greenlets: [greenlet.get() for greenlet in greenlets],
    "joinall": gcron.joinall,
    "joinall, counting": lambda greenlets: gcron.joinall(greenlets, count=len(greenlets)),
    "joinall, raising": lambda greenlets: gcron.joinall(greenlets, raise_error=True),
    "wait": gcron.wait,
    "wait for all there is": lambda _: gcron.wait(timeout=5),
    "iwait": lambda greenlets: list(gcron.iwait(greenlets)),
    "group": lambda greenlets: Group(greenlets).join(),
    "kill": lambda greenlets: [greenlet.kill() for greenlet in greenlets],
    "killall": gcron.killall,
    "group, killed": lambda greenlets: Group(greenlets).kill(),
}
# When the wait begins: before they have begun, while they sleep, when they have ended but nobody was called yet.
MOMENTS: dict[str, Callable[[], Any]] = {
    "unstarted": lambda: None,
    "started": lambda: gcron.sleep(0),
    "ended": lambda: gcron.sleep(0),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_returns_after_the_callbacks_have_begun(wait: str, moment: str) -> None:
    greenlets = [gcron.spawn(gcron.sleep if moment == "started" else int) for _ in range(2)]
    seen: list[str] = []
    for number, greenlet in enumerate(greenlets):
        greenlet.link(lambda _, number=number: seen.append(f"link {number}"))
        greenlet.rawlink(lambda _, number=number: seen.append(f"rawlink {number}"))
        greenlet.link_value(lambda _, number=number: seen.append(f"value {number}"))
    MOMENTS[moment]()
    WAITS[wait](greenlets)

    for number in range(2):
        assert [entry for entry in seen if entry.endswith(str(number))] == [
            f"{kind} {number}" for kind in ("link", "rawlink", "value")
        ]


def test_a_blocking_callback_has_begun_and_delays_nobody() -> None:
    seen: list[str] = []

    def slow(_: Any) -> None:
        seen.append("begun")
        gcron.sleep(0.001)
        seen.append("ended")

    greenlet = gcron.spawn(int)
    greenlet.link(slow)
    greenlet.link(lambda _: seen.append("next"))
    greenlet.join()
    assert seen == ["begun", "next"]
    assert gcron.wait(timeout=5)
    assert seen == ["begun", "next", "ended"]


def test_link_exception_runs_before_get_raises() -> None:
    seen: list[Any] = []
    greenlet = gcron.spawn(int, "x")
    greenlet.link_exception(lambda failed: seen.append(failed.exception))
    greenlet.link_value(seen.append)
    with pytest.raises(ValueError, match="invalid literal") as raised:
        greenlet.get()
    assert seen == [raised.value]


def test_a_linked_result_is_set_when_join_returns() -> None:
    result: AsyncResult[int] = AsyncResult()
    greenlet = gcron.spawn(int, 5)
    greenlet.link(result)
    greenlet.join()
    assert result.value == 5


@pytest.mark.parametrize("make", [Group, lambda: Pool(5), lambda: Pool(1)])
def test_join_of_a_group_returns_after_the_callbacks_of_its_members(make: Callable[[], Group]) -> None:
    """With one place, most calls still wait for it when the first member ends. They are part of the join, too."""
    group, seen = make(), []
    for number in range(4):
        group.apply_async(int, (number,), callback=seen.append)
    assert group.join(timeout=5)
    assert seen == [0, 1, 2, 3]

    linked = group.spawn(int, 5)
    linked.link(lambda ended: seen.append(ended.value))
    group.join()
    assert seen[4:] == [5]


def test_join_of_a_pool_times_out_while_calls_follow_each_other() -> None:
    pool = Pool(1)
    for _ in range(100):
        pool.apply_async(gcron.sleep, (0.001,))
    assert not pool.join(timeout=0.01)
    for make in (gcron.Timeout, gcron.Timeout.start_new):
        assert not pool.join(timeout=make(0.001))
    with pytest.raises(KeyError):
        pool.join(timeout=gcron.Timeout(0.001, KeyError))
    assert pool.join()
    assert len(pool) == 0


def test_join_of_a_pool_returns_if_the_call_with_the_last_place_is_killed() -> None:
    pool = Pool(1)
    member = pool.spawn(gcron.sleep, 0.001)
    waiting = pool.apply_async(int)
    gcron.sleep(0)
    member.rawlink(lambda _: waiting.kill(block=False))  # in the turn in which it gets the place
    assert pool.join(timeout=5)
    assert (len(pool), pool.free_count(), waiting.dead) == (0, 1, True)


def test_get_returns_after_the_callback_of_apply_async() -> None:
    seen: list[Any] = []
    for workers in (Pool(2), ThreadPool(2)):
        assert workers.apply_async(int, (5,), callback=seen.append).get() == 5
        assert workers.map_async(int, ["6", "7"], callback=seen.append).get() == [6, 7]
    assert seen == [5, [6, 7]] * 2


def test_a_link_in_the_hub_may_ask_for_the_result() -> None:
    """A callback in the hub cannot let others go first: `get` returns at once although other links are due."""
    seen: list[Any] = []
    greenlet = gcron.spawn(int, 5)
    greenlet.rawlink(lambda ended: seen.append(ended.get()))
    greenlet.rawlink(lambda ended: seen.append(ended.join()))
    greenlet.link(lambda ended: seen.append(ended.value))
    greenlet.join()
    assert seen == [5, None, 5]


def test_a_callback_begins_before_greenlets_that_were_ready_later() -> None:
    seen: list[str] = []
    greenlet = gcron.spawn(int)
    greenlet.link(lambda _: seen.append("link"))
    gcron.spawn(lambda: gcron.spawn(seen.append, "later"))
    greenlet.join()
    assert gcron.wait(timeout=5)
    assert seen == ["link", "later"]


PROGRAM = """
import gcron
from gcron.pool import Pool
greenlet = gcron.spawn(int, 1)
greenlet.link(lambda ended: print("link", ended.value))
greenlet.join()
pool = Pool(2)
pool.apply_async(int, (2,), callback=lambda value: print("callback", value))
pool.join()
"""


def test_callbacks_run_at_the_end_of_a_program() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("link 1\ncallback 2\n", "")
