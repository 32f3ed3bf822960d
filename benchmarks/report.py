"""Make a Markdown table of what `run.py --json` has kept: gcron's value, and each peer's ratio to it.

    python benchmarks/report.py results.jsonl more.jsonl

The rounds of several files count together. The best peer stands first. Bold: the peer is ahead of gcron.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from harness import Area
from run import OURS, Line, Results

# Added to the numbers of a file's rounds, so that they differ from those of the file before.
_MOST_ROUNDS = 10_000

Key = tuple[str, str]
"""Names of a program and of one of its areas."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Make a Markdown table of kept measurements.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what `run.py --json` has written")
    print("| area | gcron | peers: their value divided by gcron's, median (smallest - largest) |")
    print("| --- | --- | --- |")
    for (program, _), results in _gather(parser.parse_args().files).items():
        for row in _rows(program, results):
            print(row)


def _gather(files: Iterable[Path]) -> dict[Key, Results]:
    gathered: dict[Key, Results] = {}
    for index, file in enumerate(files):
        for (key, impl, number), lines in _by_process(file).items():
            results = gathered.setdefault(key, Results(_area(*key)))
            results.add(impl, index * _MOST_ROUNDS + number, lines)
    return gathered


def _by_process(file: Path) -> dict[tuple[Key, str, int], list[Line]]:
    processes: dict[tuple[Key, str, int], list[Line]] = {}
    for text in file.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        processes.setdefault(((line["program"], line["area"]), line["impl"], line["round"]), []).append(line)
    return processes


def _area(program: str, name: str) -> Area:
    return next(area for area in import_module(program).PROGRAM.areas if area.name == name)


def _rows(program: str, results: Results) -> Iterator[str]:
    for measure in results.area.measures:
        ratios = {impl: results.ratios(impl, measure.name) for impl in results.samples if impl != OURS}
        ranked = sorted((impl for impl in ratios if ratios[impl]), key=lambda impl: statistics.median(ratios[impl]))
        peers = ", ".join(_peer(impl, ratios[impl]) for impl in ranked)
        ours = results.values(OURS, measure.name)
        value = f"{statistics.median(ours):.3g} {measure.unit}" if ours else ""
        yield f"| {program} `{results.area.name}`, {measure.name} | {value} | {peers} |"


def _peer(impl: str, ratios: Sequence[float]) -> str:
    median = statistics.median(ratios)
    text = f"{impl} {median:.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
    return f"**{text}**" if median < 1 else text


if __name__ == "__main__":
    main()
