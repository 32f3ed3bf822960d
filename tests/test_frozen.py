"""`frozen`: what a dataclass promises, for classes that cost little at import."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from abc import ABC, abstractmethod
from typing import ClassVar

import pytest

from gcron.frozen import frozen, replace


@frozen
class Point:
    """A point."""

    x: int
    y: int = 0

    def doubled(self) -> Point:
        return Point(self.x * 2, self.y * 2)


@frozen
class Other:
    x: int
    y: int = 0


@frozen
class Single:
    value: tuple[int, ...]


class Shape(ABC):
    __slots__ = ()

    def __repr__(self) -> str:
        return "a shape"

    @abstractmethod
    def area(self) -> int: ...


@frozen
class Square(Shape):
    side: int

    def area(self) -> int:
        return self.side**2


@frozen
class ByIdentity:
    x: int

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def test_values_are_given_by_place_or_by_name_and_have_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(y=2, x=1).y) == (1, 0, 2)
    with pytest.raises(TypeError, match="missing 1 required"):
        Point()  # type: ignore[call-arg]


def test_objects_are_equal_by_class_and_values() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != Other(1, 2)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert Single((1,)) == Single((1,)) != Single((1, 2))


def test_nothing_can_be_changed_or_added() -> None:
    point = Point(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError, match="is frozen"):
            setattr(point, name, 3)
    with pytest.raises(AttributeError, match="is frozen"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_a_copy_may_have_other_values() -> None:
    assert replace(Point(1, 2), y=5) == Point(1, 5)
    with pytest.raises(TypeError, match="'z'"):
        replace(Point(1, 2), z=5)


@pytest.mark.parametrize("value", [Point(1, 2), Single((1,))])
def test_objects_can_be_copied_and_pickled(value: object) -> None:
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value


def test_an_object_shows_its_values() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert repr(Single((1,))) == "Single(value=(1,))"


def test_what_the_class_or_a_base_defines_stays() -> None:
    assert Point(1, 2).doubled() == Point(2, 4)
    assert (repr(Square(2)), Square(2).area()) == ("a shape", 4)
    assert ByIdentity(1) != ByIdentity(1)
    with pytest.raises(TypeError, match="abstract"):
        Shape()  # type: ignore[abstract]


def test_the_constructor_shows_its_parameters() -> None:
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int' = 0) -> None"
    assert Point.__doc__ == "A point."


@frozen
class Event:
    kind: ClassVar[str] = "event"
    time: float


@frozen
class JobEvent(Event):
    kind: ClassVar[str] = "job"
    job: str
    late: bool = False


@frozen
class Bare(JobEvent):
    kind: ClassVar[str] = "bare"


@frozen(uncompared=("source",))
class Named:
    name: str
    source: str = ""


def test_the_fields_of_a_base_come_first() -> None:
    event = JobEvent(1.0, "backup", late=True)
    assert (event.time, event.job, event.late, event.kind, Event.kind) == (1.0, "backup", True, "job", "event")
    assert repr(event) == "JobEvent(time=1.0, job='backup', late=True)"
    assert replace(event, time=2.0) == JobEvent(2.0, "backup", True)
    assert event != Bare(1.0, "backup", True)
    assert hash(event) == hash(JobEvent(1.0, "backup", True))
    assert copy.copy(Bare(1.0, "backup")) == pickle.loads(pickle.dumps(Bare(1.0, "backup")))
    assert not hasattr(event, "__dict__")


def test_fields_can_be_left_out_of_comparisons() -> None:
    assert Named("a", "file:1") == Named("a", "file:2") != Named("b", "file:1")
    assert hash(Named("a", "file:1")) == hash(Named("a", "file:2"))
    assert repr(Named("a", "b")) == "Named(name='a', source='b')"


def test_the_functions_of_dataclasses_take_them() -> None:
    event = JobEvent(1.0, "backup", late=True)
    assert dataclasses.is_dataclass(event)
    assert dataclasses.replace(event, job="other") == JobEvent(1.0, "other", True)
    assert dataclasses.asdict(event) == {"time": 1.0, "job": "backup", "late": True}
    assert [field.name for field in dataclasses.fields(Named)] == ["name", "source"]
