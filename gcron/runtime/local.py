"""`local`: an object whose attributes differ from greenlet to greenlet.

The greenlet stores the values, and frees them when it ends. Lookup follows Python's own order: data descriptors of the
class, then the greenlet's values, then everything else of the class.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MemberDescriptorType
from typing import Any
from weakref import WeakKeyDictionary

from gcron.runtime.greenlet import getcurrent

__all__ = ["local"]


class _Key:
    """Identifies one `local` in the greenlets' tables, no matter how its class defines equality."""

    __slots__ = ("__weakref__", "arguments")

    def __init__(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.arguments = arguments


class local:  # noqa: N801 - the standard library's name
    """An object whose attributes differ from greenlet to greenlet.

    A subclass's `__init__` runs again, with the same arguments, in each greenlet that uses the object. Without one,
    arguments raise `TypeError`. `__slots__` of a subclass are shared by all greenlets.
    """

    __slots__ = ("__weakref__", "_local__key")

    def __new__(cls, *args: Any, **kwargs: Any) -> local:
        """Store the arguments for the other greenlets' `__init__`."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("initialization arguments are not supported")
        self = object.__new__(cls)
        object.__setattr__(self, "_local__key", _Key((args, kwargs)))
        # For the greenlet that makes the object, Python calls __init__.
        _values(self, initialise=False)
        return self

    def __getattribute__(self, name: str) -> Any:
        values = _values(self)
        if name == "__dict__":
            return values
        if name in values and not _is_data_descriptor(self, name):
            return values[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        values = _values(self)
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        if _is_data_descriptor(self, name):
            object.__setattr__(self, name, value)
        else:
            values[name] = value

    def __delattr__(self, name: str) -> None:
        values = _values(self)
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        if _is_data_descriptor(self, name):
            object.__delattr__(self, name)
        elif name in values:
            del values[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __copy__(self) -> local:
        args, kwargs = object.__getattribute__(self, "_local__key").arguments
        duplicate = type(self).__new__(type(self), *args, **kwargs)
        _values(duplicate).update(_values(self))
        for slot in _slots(type(self)):
            if hasattr(self, slot.__name__):
                slot.__set__(duplicate, slot.__get__(self))
        return duplicate


def _slots(cls: type[local]) -> Iterator[MemberDescriptorType]:
    """Yield the `__slots__` of a subclass and of its bases."""
    for base in cls.__mro__:
        if base is not local:
            yield from (member for member in vars(base).values() if isinstance(member, MemberDescriptorType))


def _values(instance: local, initialise: bool = True) -> dict[str, Any]:
    """Return the running greenlet's values of `instance`. The first use in a greenlet runs `__init__`."""
    key: _Key = object.__getattribute__(instance, "_local__key")
    greenlet = getcurrent()
    table: WeakKeyDictionary[_Key, dict[str, Any]] | None = getattr(greenlet, "_locals", None)
    if table is None:
        table = greenlet._locals = WeakKeyDictionary()
    values = table.get(key)
    if values is None:
        values = table[key] = {}
        if initialise and type(instance).__init__ is not object.__init__:
            args, kwargs = key.arguments
            try:
                type(instance).__init__(instance, *args, **kwargs)
            except BaseException:
                del table[key]  # the next use tries again, instead of finding it half made
                raise
    return values


def _is_data_descriptor(instance: local, name: str) -> bool:
    for cls in type(instance).__mro__:
        if name in cls.__dict__:
            return hasattr(type(cls.__dict__[name]), "__set__")
    return False
