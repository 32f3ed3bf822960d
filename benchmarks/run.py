"""Measure every implementation of every area in one session, and print gcron's ratio to each.

    python benchmarks/run.py --setup                    # once: the peers, into benchmarks/.venv
    python benchmarks/run.py runtime spawn
    python benchmarks/run.py runtime --against ../old   # this gcron and that of another checkout

The rounds of an area go A B C A B C ..., each in a fresh process: a machine that slows down does so for all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from harness import NOT_INSTALLED, Area, Program, add_common_options

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PROGRAMS = ("runtime", "spawn", "schedule", "pipes", "crontabs", "wsgi", "lateness", "daemon", "log")
OURS = "gcron"
PATIENCE_SECONDS = 600

BEFORE = "-before"
"""What the name of an implementation ends in when it runs the gcron of the other checkout."""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contestant:
    """An implementation, and the environment that its processes get beside the usual one."""

    name: str
    impl: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Results:
    """What was measured of one area: for each implementation and round, one sample a measure."""

    area: Area
    samples: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)

    def add(self, impl: str, number: int, lines: Sequence[Line]) -> None:
        """Reduce the repeats of one process to their median, for each measure."""
        repeats: dict[str, list[float]] = {}
        for line in lines:
            repeats.setdefault(line["measure"], []).append(line["value"])
        medians = {measure: statistics.median(values) for measure, values in repeats.items()}
        self.samples.setdefault(impl, {})[number] = medians

    def values(self, impl: str, measure: str) -> list[float]:
        """One value a round."""
        return [sample[measure] for sample in self.samples.get(impl, {}).values()]

    def ratios(self, impl: str, measure: str) -> list[float]:
        """The peer's value over gcron's of the same round: above 1, gcron is ahead."""
        ours = self.samples.get(OURS, {})
        rounds = self.samples.get(impl, {})
        return [sample[measure] / ours[number][measure] for number, sample in rounds.items() if number in ours]


class Failed(Exception):
    """A program gave no measurements; the text says why."""


def main() -> int:
    """Run what the command line asks for; returns 1 when something failed."""
    programs = {name: import_module(name).PROGRAM for name in PROGRAMS}
    parser = _parser(programs)
    options = parser.parse_args()
    if unknown := set(options.programs) - set(PROGRAMS):
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    if options.setup:
        _set_up()
        return 0
    python = options.python or _own_python()
    if options.against and (fault := _fault_of(options.against, python)):
        parser.error(fault)
    all_lines: list[Line] = []
    failed = False
    for name in options.programs or PROGRAMS:
        for area in programs[name].areas_called(options.only):
            results, lines = _measure(python, programs[name], area, options)
            all_lines += lines
            _print_table(name, results)
            failed = failed or any(gap != "not installed" for gap in results.gaps.values())
    if options.json:
        _write_lines(options.json, all_lines)
    return int(failed)


def _parser(programs: dict[str, Program]) -> argparse.ArgumentParser:
    areas = [area.name for program in programs.values() for area in program.areas]
    impls = sorted({impl for program in programs.values() for impl in program.impls})
    parser = argparse.ArgumentParser(
        description="Measure gcron beside its peers in one session.",
        epilog="Ratios are peer / gcron: above 1, gcron is ahead.",
    )
    parser.add_argument(
        "programs",
        nargs="*",
        metavar="PROGRAM",
        help=f"of {', '.join(PROGRAMS)} (default: all)",
    )
    parser.add_argument("--setup", action="store_true", help="install gcron and its peers into benchmarks/.venv")
    add_common_options(parser, areas)
    parser.add_argument(
        "--impl",
        action="append",
        default=[],
        choices=impls,
        help="only these and gcron (default: all; repeatable)",
    )
    parser.add_argument(
        "--against",
        type=_folder,
        metavar="DIR",
        help=f"also measure the gcron of another checkout, as gcron{BEFORE}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="processes of each implementation (default: 5)")
    parser.add_argument("--repeat", type=int, help="measurements a process (default: the area's own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements, one a line")
    parser.add_argument("--python", help="interpreter (default: that of benchmarks/.venv, or this one)")
    return parser


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / OURS / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} has no package {OURS}")
    return path


def _fault_of(checkout: Path, python: str) -> str | None:
    """Why a process that shall import the gcron of a checkout would not."""
    command = [python, "-c", f"import {OURS}; print({OURS}.__file__)"]
    environment = os.environ | _environment_of(checkout)
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=environment, check=False)
    if done.returncode:
        return f"the gcron of {checkout} cannot be imported: {done.stderr.strip().splitlines()[-1]}"
    found = Path(done.stdout.strip())
    return None if found.is_relative_to(checkout) else f"{found} is imported, not the gcron of {checkout}"


def _environment_of(checkout: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(checkout)}  # comes before what is installed


def _set_up() -> None:
    venv.create(VENV, with_pip=True, clear=True)
    install = [_own_python(), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "-r", HERE / "requirements.txt", "-e", HERE.parent], check=True)


def _own_python() -> str:
    python = VENV / "bin" / "python"
    return str(python) if python.exists() else sys.executable


# -- measuring ----------------------------------------------------------------------------------------------


def _measure(python: str, program: Program, area: Area, options: argparse.Namespace) -> tuple[Results, list[Line]]:
    results = Results(area)
    all_lines: list[Line] = []
    contestants = list(_contestants(program, options))
    for number in range(options.rounds):
        for contestant in contestants:
            name = contestant.name
            if name in results.gaps:
                continue
            _report_progress(f"{program.name} {area.name}: round {number + 1} of {options.rounds}, {name}")
            try:
                lines = _run_once(python, program, area, contestant, options)
            except Failed as failure:
                results.gaps[name] = str(failure)
                continue
            all_lines += [{"program": program.name, "round": number} | line for line in lines]
            if lines:  # none when the implementation has no such thing
                results.add(name, number, lines)
    _report_progress("")
    return results, all_lines


def _contestants(program: Program, options: argparse.Namespace) -> Iterator[Contestant]:
    for impl in program.impls:
        if options.impl and impl not in options.impl and impl != OURS:
            continue
        yield Contestant(impl, impl)
        if options.against and impl.split("-")[0] == OURS:
            yield Contestant(impl + BEFORE, impl, _environment_of(options.against))


def _run_once(
    python: str, program: Program, area: Area, contestant: Contestant, options: argparse.Namespace
) -> list[Line]:
    command = [python, str(HERE / f"{program.name}.py"), "--impl", contestant.impl, "--only", area.name]
    command += ["--scale", str(options.scale)]
    if options.repeat:
        command += ["--repeat", str(options.repeat)]
    environment = os.environ | contestant.environment
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no end after {PATIENCE_SECONDS} s") from None
    if done.returncode == NOT_INSTALLED:
        raise Failed("not installed")
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    sys.stderr.write(done.stderr)
    return [json.loads(line) | {"impl": contestant.name} for line in done.stdout.splitlines()]


def _report_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _write_lines(path: Path, lines: Sequence[Line]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


# -- the table ----------------------------------------------------------------------------------------------


def _print_table(program: str, results: Results) -> None:
    for measure in results.area.measures:
        print(f"\n{program} {results.area.name}: {results.area.about}")
        head = f"{measure.name}, {measure.unit}"
        print(f"  {head:<23} {'median':>9}  {'min - max':>19}   {'/ gcron':>7}  {'min - max':>13}")
        for row in _rows(results, measure.name):
            print(f"  {row}")
    for impl, gap in results.gaps.items():
        print(f"  {impl:<23} {gap}")
    sys.stdout.flush()


def _rows(results: Results, measure: str) -> Iterator[str]:
    for impl in results.samples:
        row = f"{impl:<23} {_spread(results.values(impl, measure), 9, 19, 3)}"
        ratios = results.ratios(impl, measure)
        yield row if impl == OURS or not ratios else f"{row}   {_spread(ratios, 7, 13, 2)}"


def _spread(values: Sequence[float], median_width: int, spread_width: int, digits: int) -> str:
    spread = f"{min(values):.{digits}f} - {max(values):.{digits}f}"
    return f"{statistics.median(values):>{median_width}.{digits}f}  {spread:>{spread_width}}"


if __name__ == "__main__":
    sys.exit(main())
