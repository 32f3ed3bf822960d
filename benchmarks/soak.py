"""A soak test: 60 jobs of every second for minutes. Is each fire in the log once, do memory or descriptors grow?

    python benchmarks/soak.py --minutes 10

Exit status 1 when a fire is missed or runs twice, or when memory or descriptors grow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from daemons import EVERY_SECOND

# Seconds until the process has its full size, and between two looks at it.
SETTLING, LOOK_EVERY = 30, 10
# Growth beyond which it counts as a leak: bytes, descriptors.
MOST_GROWTH, MOST_DESCRIPTORS = 2 << 20, 5


@dataclass(frozen=True, slots=True)
class Look:
    """What the process held at one moment."""

    second: float
    memory: int
    descriptors: int
    children: int
    cpu: float


def main() -> int:
    """Run the jobs, print what was seen, and return 1 when something is wrong."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        crontab, log = Path(folder, "crontab"), Path(folder, "log")
        crontab.write_text("".join(_entry(number) for number in range(options.jobs)))
        with log.open("wb") as output:
            looks = _run(crontab, output, options.minutes * 60)
        faults = [*_check_fires(log, options.jobs), *_check_growth(looks)]
    _print(looks)
    for fault in faults:
        print(f"FAULT {fault}")
    return bool(faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=60, help="each fires every second (default 60)")
    return parser


def _entry(number: int) -> str:
    return f"# gcron: name=job-{number} overlap=allow\n{EVERY_SECOND}  echo {number}\n"


def _run(crontab: Path, log: IO[bytes], seconds: float) -> list[Look]:
    command = [sys.executable, "-m", "gcron", "run", "--log-format", "json", "--tz", "UTC", str(crontab)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log)
    begin, looks = time.monotonic(), []
    try:
        while (second := time.monotonic() - begin) < seconds:
            looks.append(_look(process.pid, second))
            if sys.stderr.isatty():
                print(f"\r{second:.0f} of {seconds:.0f} s", end="", file=sys.stderr)
            # In the middle of a second, when the runs of the last one are over.
            time.sleep(LOOK_EVERY + 0.5 - time.time() % 1)
    finally:
        process.terminate()
        status = process.wait(60)
    if status:
        raise SystemExit(f"gcron run ended with status {status}")
    return looks


def _look(pid: int, second: float) -> Look:
    import psutil  # with gcron, which not every interpreter that asks for --help has

    process = psutil.Process(pid)
    times = process.cpu_times()
    return Look(
        second,
        process.memory_info().rss,
        process.num_fds(),
        len(process.children()),
        times.user + times.system,
    )


def _check_fires(log: Path, jobs: int) -> list[str]:
    """Each job, in each second from its first to its last fire: once, with success and its own line of output."""
    fires: dict[str, Counter[int]] = {}
    outcomes: Counter[str] = Counter()
    lines = 0
    for record in _records(log):
        if record["event"] == "run-finished":
            outcomes[record["outcome"]] += 1
            second = int(datetime.fromisoformat(record["fire_at"]).timestamp())
            fires.setdefault(record["job"], Counter())[second] += 1
        lines += record["event"] == "output"
    faults = [f"{count} runs {outcome}" for outcome, count in outcomes.items() if outcome != "succeeded"]
    if len(fires) != jobs:
        faults.append(f"{len(fires)} of {jobs} jobs fired")
    for job, seconds in fires.items():
        lost = max(seconds) - min(seconds) + 1 - len(seconds)
        twice = sum(count > 1 for count in seconds.values())
        if lost or twice:
            faults.append(f"{job}: {lost} seconds without a fire, {twice} with two")
    if lines != outcomes.total():
        faults.append(f"{lines} lines of output from {outcomes.total()} runs")
    print(f"{outcomes.total()} runs, {len(fires)} jobs: {dict(outcomes)}")
    return faults


def _records(log: Path) -> list[dict[str, Any]]:
    with log.open() as lines:
        return [json.loads(line) for line in lines]


def _check_growth(looks: list[Look]) -> list[str]:
    settled = [look for look in looks if look.second >= SETTLING]
    if len(settled) < 2:
        return []
    faults = []
    half = len(settled) // 2
    # The least of each half: what is in flight at the moment of a look is no growth.
    memory = min(look.memory for look in settled[half:]) - min(look.memory for look in settled[:half])
    descriptors = min(look.descriptors for look in settled[half:]) - min(look.descriptors for look in settled[:half])
    if memory > MOST_GROWTH:
        faults.append(f"memory grew by {memory / 1e6:.1f} MB")
    if descriptors > MOST_DESCRIPTORS:
        faults.append(f"{descriptors} more descriptors are open")
    return faults


def _print(looks: list[Look]) -> None:
    print(f"{'second':>7}  {'memory, MB':>10}  {'descriptors':>11}  {'children':>8}  {'CPU, % of one':>13}")
    for before, look in pairwise(looks):
        if look is not looks[-1] and round(look.second) % 60 >= LOOK_EVERY:
            continue
        cpu = 100 * (look.cpu - before.cpu) / (look.second - before.second)
        row = f"{look.second:7.0f}  {look.memory / 1e6:10.1f}  {look.descriptors:11}  {look.children:8}  {cpu:13.0f}"
        print(row)


if __name__ == "__main__":
    sys.exit(main())
