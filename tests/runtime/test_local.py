"""`local` as an object: lookup, descriptors, overridden access, initialisers that fail, collection."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import pytest

import gcron
from gcron.local import local


class Session(local):
    """A subclass with everything a class may have."""

    limit = 5
    __slots__ = ("shared",)

    def __init__(self, user: Any) -> None:
        self.user = user

    @property
    def greeting(self) -> str:
        return f"hello {self.user}"

    @classmethod
    def kind(cls) -> str:
        return cls.__name__


def test_another_greenlet_sees_the_class_and_its_own_values() -> None:
    session: Any = Session("root")
    session.shared = "all"
    session.extra = 1
    session.limit = 7

    def look() -> tuple[Any, ...]:
        return (
            session.user,
            session.greeting,
            session.limit,
            session.shared,
            session.kind(),
            hasattr(session, "extra"),
        )

    session.user = "me"
    assert look() == ("me", "hello me", 7, "all", "Session", True)
    assert gcron.spawn(look).get() == ("root", "hello root", 5, "all", "Session", False)
    assert Session.limit == 5


def test_vars_dir_and_isinstance_work() -> None:
    stash = local()
    stash.name = "x"
    assert (vars(stash), "name" in dir(stash), isinstance(stash, local)) == ({"name": "x"}, True, True)
    assert {stash: 1}[stash] == 1
    del stash.name
    for act in (lambda: stash.name, lambda: delattr(stash, "name")):
        with pytest.raises(AttributeError, match="name"):
            act()
    for change in (lambda: setattr(stash, "__dict__", {}), lambda: delattr(stash, "__dict__")):
        with pytest.raises(AttributeError, match="__dict__"):
            change()


def test_access_may_be_overridden() -> None:
    class Odd(local):
        def __getattr__(self, name: str) -> str:
            return f"made {name}"

        def __setattr__(self, name: str, value: int) -> None:
            super().__setattr__(name, value * 2)

    odd = Odd()
    odd.number = 2
    assert (odd.number, odd.other) == (4, "made other")


def test_a_value_hides_a_descriptor_that_cannot_be_set() -> None:
    class Constant:
        def __get__(self, instance: object, owner: type) -> str:
            return "constant"

    class Holder(local):
        thing = Constant()

    holder: Any = Holder()
    assert holder.thing == "constant"
    holder.thing = "mine"
    assert (holder.thing, gcron.spawn(lambda: holder.thing).get()) == ("mine", "constant")
    del holder.thing
    assert holder.thing == "constant"


def test_a_failed_initialiser_is_tried_again(capsys: Any) -> None:
    calls: list[str] = []

    class Fragile(local):
        def __init__(self) -> None:
            calls.append("init")
            if len(calls) == 2:
                raise ValueError("not now")
            self.ready = True

    fragile = Fragile()

    def use() -> bool:
        with pytest.raises(ValueError, match="not now"):
            fragile.ready  # noqa: B018
        return fragile.ready

    assert gcron.spawn(use).get() is True
    assert calls == ["init"] * 3


def test_a_copy_has_this_greenlets_values_and_is_initialised_in_others() -> None:
    original: Any = Session([1])
    original.extra = 2
    duplicate: Any = copy.copy(original)
    duplicate.extra = 3
    assert (type(duplicate), duplicate.user is original.user, original.extra) == (Session, True, 2)
    assert gcron.spawn(lambda: (duplicate.user, hasattr(duplicate, "extra"))).get() == ([1], False)


def test_values_are_freed_with_the_object() -> None:
    class Thing:
        pass

    stash = local()
    stash.thing = Thing()
    seen = weakref.ref(stash.thing)
    del stash
    gc.collect()
    assert seen() is None


def test_values_of_a_killed_greenlet_are_freed() -> None:
    class Thing:
        pass

    stash = local()
    seen: list[weakref.ref[Thing]] = []

    def keep() -> None:
        stash.thing = Thing()
        seen.append(weakref.ref(stash.thing))
        gcron.sleep(100)

    greenlet = gcron.spawn(keep)
    gcron.sleep(0)
    greenlet.kill()
    gc.collect()
    assert seen[0]() is None
