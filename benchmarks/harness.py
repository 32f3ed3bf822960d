"""What every benchmark program shares: areas and measures, the command line, and JSON lines as output.

It imports no implementation: a program has its areas, and a way to load what `--impl` names.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

# Factors from the numbers of the bodies, seconds or bytes, to those that are shown.
UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "MB": 1e-6}
NOT_INSTALLED = 3
"""Exit status of a program whose implementation is missing: to `run.py` this is no failure."""

Seconds = float | tuple[float, ...]
Body = Callable[[int], Seconds]
"""Does the work of a size and returns seconds (or bytes) for each operation: one number for each measure."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that an area gives; less is better."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Area:
    """One piece of work, the same in every implementation."""

    name: str
    about: str
    size: int
    measures: tuple[Measure, ...]
    repeat: int = 3
    warm_up: bool = True
    collector: bool = True
    """Whether Python's garbage collector is on, as it is in the programs of users."""

    @property
    def method(self) -> str:
        """The name of the method that does this work in an implementation."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Program:
    """A benchmark program: its areas, and a function that loads each implementation."""

    name: str
    areas: tuple[Area, ...]
    impls: dict[str, Callable[[], object]]

    def areas_called(self, names: Sequence[str]) -> tuple[Area, ...]:
        """The areas of these names, or all."""
        return tuple(area for area in self.areas if not names or area.name in names)


def check(condition: bool, what: str) -> None:
    """Fail when an implementation did not do the work it was timed for."""
    if not condition:
        raise RuntimeError(f"wrong result: {what}")


def main(program: Program) -> None:
    """Run a benchmark program from its command line."""
    options = _parser(program).parse_args()
    implementation = _load(program, options.impl)
    origin = _origin(options.impl)
    for area in program.areas_called(options.only):
        body = getattr(implementation, area.method, None)
        if body is None:
            continue
        size = max(1, round(area.size * options.scale))
        for repeat, values in enumerate(_samples(area, body, size, options.repeat or area.repeat)):
            for measure, seconds in zip(area.measures, values, strict=True):
                value = seconds * UNITS[measure.unit]
                line = {"area": area.name, "measure": measure.name, "impl": options.impl, "repeat": repeat}
                _write(line | {"value": value, "unit": measure.unit, "size": size} | origin)


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Measure {program.name}; one JSON object a measurement.")
    parser.add_argument("--impl", required=True, choices=list(program.impls))
    add_common_options(parser, [area.name for area in program.areas])
    parser.add_argument("--repeat", type=int, help="measurements of each area (default: the area's own)")
    return parser


def add_common_options(parser: argparse.ArgumentParser, areas: Sequence[str]) -> None:
    """Add the options that a program and `run.py` share."""
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=areas,
        metavar="AREA",
        help=f"one of: {', '.join(areas)}",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes, 0.01 for a smoke test")


def _load(program: Program, impl: str) -> object:
    try:
        return program.impls[impl]()
    except ModuleNotFoundError as error:
        print(f"{impl}: {error}", file=sys.stderr)
        sys.exit(NOT_INSTALLED)


def _samples(area: Area, body: Body, size: int, repeat: int) -> Iterator[tuple[float, ...]]:
    if area.warm_up:
        body(max(1, size // 10))
    for _ in range(repeat):
        gc.collect()  # or the garbage of one repeat is charged to the next
        if not area.collector:
            gc.disable()
        seconds = body(size)
        gc.enable()
        yield seconds if isinstance(seconds, tuple) else (seconds,)


def _origin(impl: str) -> dict[str, object]:
    # An implementation is named after its package, or its packages: `gcron-run`, `cronstable-uvloop`.
    packages = impl.split("-")
    if packages[0] in ("gcron", "gevent"):
        packages.append("greenlet")
    versions = {package: version for package in packages if (version := _version(package))}
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"versions": versions, "python": python, "system": f"{platform.system()} {platform.machine()}"}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None  # asyncio and the standard library's subprocess: Python's version says it


def _write(line: dict[str, object]) -> None:
    line["load"] = round(os.getloadavg()[0], 2)
    print(json.dumps(line, ensure_ascii=False), flush=True)
