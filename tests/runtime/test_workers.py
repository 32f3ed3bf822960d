"""The methods that Group, Pool and ThreadPool share: apply, map, imap and their variants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import gcron
from gcron.event import Event
from gcron.pool import Group, Pool
from gcron.threadpool import ThreadPool

KINDS: dict[str, Callable[[], Any]] = {
    "Group": Group,
    "Pool": lambda: Pool(2),
    "Pool-of-one": lambda: Pool(1),
    "ThreadPool": lambda: ThreadPool(2),
}
tenant: ContextVar[str] = ContextVar("tenant")


@pytest.fixture(params=KINDS)
def workers(request: Any, capsys: Any) -> Iterator[Any]:
    made = KINDS[request.param]()
    yield made
    made.kill()


def reciprocal(number: int) -> float:
    return 6 / number


def ending_in_an_error() -> Iterator[int]:
    yield 1
    raise KeyError("the iterable's own")


def test_apply_takes_arguments_as_a_tuple_and_a_dict(workers: Any) -> None:
    assert workers.apply(max, (1, 2)) == 2
    assert workers.apply(dict, kwds={"a": 1}) == {"a": 1}
    assert workers.apply(dict, ([("b", 2)],), {"a": 1}) == {"a": 1, "b": 2}
    with pytest.raises(ZeroDivisionError):
        workers.apply(reciprocal, (0,))


def test_callbacks_get_results_and_no_errors(workers: Any) -> None:
    told: list[Any] = []
    results = [
        workers.apply_async(max, (3, 4), callback=told.append),
        workers.apply_async(reciprocal, (0,), callback=told.append),
        workers.apply_async(dict, kwds={"a": 1}, callback=told.append),
        workers.map_async(str, [1, 2], callback=told.append),
    ]
    assert [results[0].get(timeout=10), results[2].get(timeout=10)] == [4, {"a": 1}]
    with pytest.raises(ZeroDivisionError):
        results[1].get(timeout=10)
    assert results[3].get(timeout=10) == ["1", "2"]
    assert workers.apply_cb(max, (1, 2), callback=told.append) == 2
    assert workers.map_cb(str, [3], told.append) == ["3"]
    for _ in range(10):
        gcron.sleep(0)

    assert sorted(told, key=repr) == sorted([4, {"a": 1}, ["1", "2"], 2, ["3"]], key=repr)


def test_a_callback_may_block_and_has_the_callers_context(workers: Any) -> None:
    told: list[str] = []
    go_on = Event()

    def note(result: int) -> None:
        go_on.wait()
        told.append(tenant.get())

    tenant.set("alice")
    asked = workers.apply_async(max, (1, 2), callback=note)
    tenant.set("bob")
    asked.get(timeout=10)
    go_on.set()
    for _ in range(10):
        gcron.sleep(0)

    assert told == ["alice"]


def test_calls_run_in_a_copy_of_the_callers_context(workers: Any) -> None:
    def look_and_change() -> str:
        seen = tenant.get()
        tenant.set("changed")
        return seen

    tenant.set("alice")

    assert workers.apply(look_and_change) == "alice"
    assert workers.map(lambda _: look_and_change(), range(3)) == ["alice"] * 3
    assert tenant.get() == "alice"


def test_all_maps_return_the_same(workers: Any) -> None:
    assert workers.map(str, range(5)) == list("01234")
    assert list(workers.imap(str, range(5))) == list("01234")
    assert sorted(workers.imap_unordered(str, range(5))) == list("01234")
    assert workers.map(str, []) == list(workers.imap(str, [])) == list(workers.imap_unordered(str, [])) == []


def test_imap_takes_several_iterables_and_ends_with_the_shortest(workers: Any) -> None:
    assert list(workers.imap(max, [1, 5, 9], [3, 2])) == [3, 5]
    assert sorted(workers.imap_unordered(max, [1, 5], [3, 2, 8])) == [3, 5]


@pytest.mark.parametrize("maxsize", [None, 0, 1, 2, 100])
def test_imap_with_any_maxsize_returns_all(workers: Any, maxsize: int | None) -> None:
    """With a `maxsize` of 0 nothing was ever computed, and the first `next()` waited for ever."""
    assert list(workers.imap(str, range(5), maxsize=maxsize)) == list("01234")
    assert sorted(workers.imap_unordered(str, range(5), maxsize=maxsize)) == list("01234")


def test_a_negative_limit_is_refused(workers: Any) -> None:
    with pytest.raises(ValueError, match="-1"):
        workers.imap(str, [1], maxsize=-1)


def test_imap_raises_an_error_in_its_items_place_and_then_ends(workers: Any) -> None:
    results = workers.imap(reciprocal, [1, 0, 2])
    assert next(results) == 6
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results) == 3
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


def test_the_iterables_own_error_comes_after_its_items(workers: Any) -> None:
    results = workers.imap(str, ending_in_an_error())
    assert next(results) == "1"
    with pytest.raises(KeyError):
        next(results)
    assert list(results) == []
    with pytest.raises(KeyError):
        workers.map(str, ending_in_an_error())


def test_imap_unordered_returns_all_results_despite_an_error_of_the_iterable(workers: Any) -> None:
    results = workers.imap_unordered(str, ending_in_an_error())
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(next(results))
        except KeyError as error:
            outcomes.append(type(error))
    assert sorted(outcomes, key=repr) == ["1", KeyError]
    assert list(results) == []


def test_what_cannot_be_called_is_refused_and_takes_no_place(workers: Any) -> None:
    with pytest.raises(TypeError):
        workers.spawn(5)
    assert len(workers) == 0
    assert workers.apply(max, (1, 2)) == 2


def test_apply_from_a_worker_runs_inline(workers: Any) -> None:
    """Otherwise the only worker would wait for itself."""
    assert workers.apply(lambda: workers.apply(lambda: workers.apply(max, (1, 2)))) == 2
