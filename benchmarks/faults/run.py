"""Provoke faults in gcron and in other programs, in one run, and print what happened.

    python benchmarks/faults/run.py --setup               # once: the others, each into its own environment below /tmp
    python benchmarks/faults/run.py                       # all faults, in about ten minutes
    python benchmarks/faults/run.py --only killed spring  # some of them
    python benchmarks/faults/run.py --program gcron yacron

Run it with an interpreter that has gcron. As root, or where user namespaces are allowed. It prints Markdown.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from faults import FAULTS
from programs import PROGRAMS, Place, Program

# Programs at one time: they wait, mostly.
AT_ONCE = 20


def main() -> None:
    """Try each fault on each program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--setup", action="store_true", help="install the other programs, then end")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--program", nargs="+", default=[program.name for program in PROGRAMS])
    parser.add_argument("--keep", type=Path, help="keep files and logs in this directory")
    options = parser.parse_args()
    if options.setup:
        for program in PROGRAMS[1:]:
            program.setup()
        return
    programs = [program for program in PROGRAMS if program.name in options.program and program.is_installed()]
    folder = options.keep or Path(tempfile.mkdtemp(prefix="gcron-faults-"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        cells = {
            (fault, program.name): pool.submit(tried, fault, program, folder)
            for fault in options.only
            for program in programs
        }
    linux = platform.release().partition("-")[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, Linux {linux}\n")
    print("| | " + " | ".join(f"{program.name} {program.version()}" for program in programs) + " |")
    print("| --- |" + " --- |" * len(programs))
    for fault in options.only:
        print(f"| {fault} | " + " | ".join(cells[fault, program.name].result() for program in programs) + " |")
    if options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)


def tried(fault: str, program: Program, folder: Path) -> str:
    """What the fault did to the program."""
    place = Place(folder / fault / program.name, folder / fault / program.name / "data")
    place.data.mkdir(parents=True)
    try:
        return FAULTS[fault](program, place)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return f"not tried: {error}"


if __name__ == "__main__":
    main()
