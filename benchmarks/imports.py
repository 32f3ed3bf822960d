"""Where the start of a daemon with 10 jobs goes: what its imports cost, by package and by module.

    benchmarks/.venv/bin/python benchmarks/imports.py --impl gcron

Python itself takes the times (`-X importtime`), which slows the imports down: compare the shares. How long a start
really takes is in the first line, and in `daemon.py`, area `start-10`. Shown is the run whose imports were fastest,
so that the rows fit together.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import daemons
import harness
from daemons import AT_START, Daemon, Job, not_due

IMPLS = {
    "gcron": daemons.gcron,
    "apscheduler": daemons.apscheduler,
    "cronstable": daemons.cronstable,
    "cronstable-uvloop": daemons.cronstable_uvloop,
    "yacron": daemons.yacron,
}
JOBS = 10
PATIENCE = 30.0
_ROW = re.compile(r"import time: +(\d+) \| +(\d+) \| +(\S+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds that importing a module took: its own code, and with all that it imported first."""

    own: float
    total: float


Profile = Mapping[str, Cost]
"""The modules that one process imported."""


def main() -> None:
    """Print the tables."""
    options = _parser().parse_args()
    daemon = IMPLS[options.impl]()
    _start(daemon)  # compiles what is not compiled yet
    starts = [_start(daemon)[0] for _ in range(options.runs)]
    os.environ["PYTHONPROFILEIMPORTTIME"] = "1"
    interpreter = frozenset(_parse(_import_times_of_nothing()))
    profile = min((_parse(_start(daemon)[1]) for _ in range(options.runs)), key=_own_total)
    imported = {name: cost for name, cost in profile.items() if name not in interpreter}
    print(f"start to first job: {statistics.median(starts):.0f} ms ({min(starts):.0f} - {max(starts):.0f}), without -X")
    print(f"imports: {_own_total(imported):.0f} ms, {len(imported)} modules")
    _print_packages(imported)
    _print_modules(imported, options.most)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--impl", choices=list(IMPLS), default="gcron")
    parser.add_argument("--runs", type=int, default=11, help="starts of each kind (default: 11)")
    parser.add_argument("--most", type=int, default=25, help="rows of modules (default: 25)")
    return parser


def _start(daemon: Daemon) -> tuple[float, str]:
    """Start it and stop it: milliseconds until a job has begun, and what it wrote to standard error."""
    with tempfile.TemporaryDirectory() as folder:
        mark, path, errors = Path(folder, "mark"), Path(folder, "jobs"), Path(folder, "errors")
        others = [Job(not_due(number), f"job {number}") for number in range(JOBS - 1)]
        daemon.write([Job(AT_START, f": > {mark}"), *others], path)
        begin = time.time()
        with errors.open("wb") as stderr, daemon.running(path, stderr=stderr) as process:
            while not mark.exists():
                harness.check(process.poll() is None, "the daemon ended")
                harness.check(time.time() - begin < PATIENCE, f"no job ran within {PATIENCE:g} s")
                time.sleep(0.002)
        return (mark.stat().st_mtime - begin) * 1000, errors.read_text(errors="replace")


def _import_times_of_nothing() -> str:
    done = subprocess.run([sys.executable, "-c", "pass"], stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr


def _parse(text: str) -> dict[str, Cost]:
    return {name: Cost(int(own) / 1000, int(total) / 1000) for own, total, name in _ROW.findall(text)}


def _own_total(profile: Profile) -> float:
    return sum(cost.own for cost in profile.values())


# -- tables -------------------------------------------------------------------------------------------------


def _print_packages(imported: Profile) -> None:
    packages: dict[str, list[float]] = {}
    for name, cost in imported.items():
        packages.setdefault(_package(name), []).append(cost.own)
    print(f"\n{'ms':>7}  {'modules':>7}  package")
    for package, costs in sorted(packages.items(), key=lambda item: sum(item[1]), reverse=True):
        print(f"{sum(costs):7.1f}  {len(costs):7}  {package}")


def _package(module: str) -> str:
    """The first name of a module, or two names inside gcron; one group for the standard library."""
    first, *rest = module.split(".")
    if first.lstrip("_") in sys.stdlib_module_names or first in sys.stdlib_module_names:
        return "standard library"
    return ".".join([first, *rest[:1]]) if first == "gcron" else first


def _print_modules(imported: Profile, most: int) -> None:
    print(f"\n{'total':>7}  {'own':>7}  module, in ms")
    for name, cost in sorted(imported.items(), key=lambda item: item[1].total, reverse=True)[:most]:
        print(f"{cost.total:7.1f}  {cost.own:7.1f}  {name}")


if __name__ == "__main__":
    main()
