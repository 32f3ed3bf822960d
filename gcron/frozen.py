"""`frozen`: classes of plain data, as `dataclass(frozen=True, slots=True)` makes them, but cheap to import.

A dataclass compiles seven functions for each class. That takes 0.6 ms; the 40 classes on the way to the first fire
would take a quarter of gcron's start. Here one constructor is compiled for each number of fields.
This module knows nothing of gcron.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, TypeVar, dataclass_transform, overload

__all__ = ["frozen", "replace"]

_T = TypeVar("_T")


@overload
def frozen(cls: type[_T]) -> type[_T]: ...
@overload
def frozen(*, uncompared: tuple[str, ...]) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True)
def frozen(cls: type[_T] | None = None, *, uncompared: tuple[str, ...] = ()) -> Any:
    """Return the class with slots for its annotated names, a constructor, comparison by value, hash and repr.

        @frozen
        class Point:
            x: int
            y: int = 0

    Methods that the class or a base defines, also `__eq__` and the like, stay. The fields of frozen bases come first.
    `uncompared`: fields that equality and hash leave out. The functions of `dataclasses` (`asdict`, `fields`,
    `replace`) take such objects.
    """
    return (lambda cls: _frozen(cls, uncompared)) if cls is None else _frozen(cls, uncompared)


def _frozen(cls: type[_T], uncompared: tuple[str, ...]) -> type[_T]:
    own = {name: kind for name, kind in cls.__annotations__.items() if not str(kind).startswith("ClassVar")}
    body = dict(cls.__dict__)
    own_defaults = {name: body.pop(name) for name in own if name in body}
    # Belong to the class that is replaced.
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    base: Any = next((base for base in cls.__mro__[1:] if "__frozen_fields__" in base.__dict__), None)
    annotations = {**base.__frozen_fields__, **own} if base is not None else own
    defaults = {**base.__frozen_defaults__, **own_defaults} if base is not None else own_defaults
    names = tuple(annotations)
    body |= {"__slots__": tuple(own), "__match_args__": names}
    body |= {"__frozen_fields__": annotations, "__frozen_defaults__": defaults}
    body["__dataclass_fields__"] = _DataclassFields()
    compared = tuple(name for name in names if name not in uncompared)
    for name, method in _methods_of(names, compared).items():
        if base is not None or not any(name in base.__dict__ for base in cls.__mro__[:-1]):
            body.setdefault(name, method)
    metaclass: Any = type(cls)
    made: type[_T] = metaclass(cls.__name__, cls.__bases__, body)
    made.__init__ = _constructor(made, annotations, defaults)  # type: ignore[method-assign]
    return made


def replace(instance: _T, **changes: Any) -> _T:
    """Return a copy of an object of a frozen class, with these values changed."""
    names: tuple[str, ...] = instance.__match_args__  # type: ignore[attr-defined]
    return type(instance)(**{name: getattr(instance, name) for name in names} | changes)


class _DataclassFields:
    """The class attribute that the functions of `dataclasses` look for. Made when asked for."""

    def __get__(self, instance: object, owner: Any) -> Any:
        from dataclasses import field, make_dataclass

        defaults = owner.__frozen_defaults__
        fields = [
            (name, kind, field(default=defaults[name], kw_only=True) if name in defaults else field())
            for name, kind in owner.__frozen_fields__.items()
        ]
        made: Any = make_dataclass(owner.__name__, fields)
        return made.__dataclass_fields__


def _methods_of(names: tuple[str, ...], compared: tuple[str, ...]) -> dict[str, Any]:
    get, get_compared = attrgetter(*names), attrgetter(*compared)

    def values_of(instance: object) -> Any:
        return get(instance) if len(names) > 1 else (get(instance),)

    def equals(self: object, other: object) -> bool:
        return get_compared(self) == get_compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: object) -> int:
        return hash(get_compared(self))

    def text_of(self: object) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in zip(names, values_of(self), strict=True))
        return f"{self.__class__.__qualname__}({values})"

    def reduce(self: object) -> tuple[Any, ...]:  # for `copy` and `pickle`, which would set attributes
        return self.__class__, values_of(self)

    def refuse(self: object, name: str, *value: object) -> None:
        raise AttributeError(f"{name!r} cannot be changed: {self.__class__.__qualname__} is frozen")

    return {
        "__eq__": equals,
        "__hash__": hash_of,
        "__repr__": text_of,
        "__reduce__": reduce,
        "__setattr__": refuse,
        "__delattr__": refuse,
    }


def _constructor(cls: type, annotations: dict[str, Any], defaults: dict[str, Any]) -> Any:
    template = _code_of_constructor(len(annotations))
    code = template.replace(co_varnames=("self", *annotations), co_qualname=f"{cls.__qualname__}.__init__")
    setters = {f"_set_{number}": getattr(cls, name).__set__ for number, name in enumerate(annotations)}
    optional = [name for name in annotations if name in defaults]
    if optional and optional != list(annotations)[-len(optional) :]:
        raise TypeError(f"{cls.__qualname__}: a field without a default follows one that has a default")
    constructor = FunctionType(code, setters, "__init__", tuple(defaults[name] for name in optional))
    constructor.__annotations__ = {**annotations, "return": None}
    constructor.__module__ = cls.__module__
    return constructor


@cache
def _code_of_constructor(count: int) -> CodeType:
    """Return the code of a constructor of so many fields. The classes give it their names, and need no compiler."""
    parameters = "".join(f", _{number}" for number in range(count))
    lines = [f"    _set_{number}(self, _{number})" for number in range(count)]
    namespace: dict[str, Any] = {}
    exec("\n".join([f"def __init__(self{parameters}):", *(lines or ["    pass"])]), namespace)
    code: CodeType = namespace["__init__"].__code__
    return code
