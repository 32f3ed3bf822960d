"""A soak test of everything at once, over two KILLs. Is each fire accounted for, does anything grow?

    python benchmarks/soak_everything.py --minutes 30

60 jobs of every second, two services, state on disk, a reload each 20 s, a trigger each 2 s, open pages, streams, and
messages to a target that never answers. gcron is killed after a third and after two thirds of the time, and started
again. Exit status 1 when a fire has no record or two, a job ran twice for one fire, something grew, or the history is
damaged.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from pathlib import Path

import psutil
from daemons import EVERY_SECOND

# Seconds until the process has its full size; between looks, reloads, triggers and page views.
SETTLING, LOOK_EVERY, RELOAD_EVERY, TRIGGER_EVERY, PAGE_EVERY = 30, 10, 20, 2, 0.5
STREAMS = 20
# Growth within one life beyond which it counts as a leak: bytes, descriptors. The history is cached in memory at first.
MOST_GROWTH, MOST_DESCRIPTORS = 8 << 20, 10
PAGES = ("/", "/timeline", "/jobs/job-1", "/services", "/events", "/metrics", "/api/v1/jobs", "/healthz")


@dataclass(frozen=True, slots=True)
class Look:
    """What the process held at one moment."""

    second: float
    memory: int
    descriptors: int
    cpu: float


@dataclass
class Soak:
    """The files of one soak, and what was done."""

    folder: Path
    jobs: int
    port: int
    done: Counter[str] = field(default_factory=Counter)
    lives: list[list[Look]] = field(default_factory=list)

    @property
    def crontab(self) -> Path:
        return self.folder / "crontab"

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def write_crontab(self, reloads: int) -> None:
        """Another text each time, with the same jobs of every second."""
        dead = f"# gcron-notify: dead url=http://127.0.0.1:{self.port + 1}/ on=failure,success\n"
        services = "".join(f"# gcron: name=service-{n} min-uptime=0s\n@service sleep {5 + 60 * n}\n" for n in range(2))
        changing = f"# gcron: name=changing\n@every 7s echo {reloads}; exit {reloads % 2}\n"
        self.crontab.write_text(dead + services + changing + "".join(map(self._entry, range(self.jobs))))

    def _entry(self, number: int) -> str:
        options = f"name=job-{number} overlap=allow" + (" notify=dead" if number % 10 == 0 else "")
        mark = f'echo "{number} $GCRON_FIRE_AT" >> {self.marks}'
        return f"# gcron: {options}\n{EVERY_SECOND}  {mark}; echo {number}\n"

    def command(self) -> list[str]:
        """How gcron is started."""
        options = ["--state", str(self.folder / "state"), "--keep-runs", "1000000", "--tz", "UTC"]
        options += ["--http", f"127.0.0.1:{self.port}", "--http-token-file", str(self.folder / "token")]
        return [sys.executable, "-m", "gcron", "run", *options, "--instance", f"soak-{self.port}", str(self.crontab)]


def main() -> int:
    """Run it, print what was seen, and return 1 when something is wrong."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as name, _dead_target() as port:
        soak = Soak(options.folder or Path(name), options.jobs, port)
        (soak.folder / "token").write_text("s" * 40)
        (soak.folder / "token").chmod(0o600)
        soak.write_crontab(0)
        for life in range(3):
            _live(soak, options.minutes * 20, is_last=life == 2)
        faults = [*_check_fires(soak), *_check_growth(soak)]
    _print(soak)
    for fault in faults:
        print(f"FAULT {fault}")
    return bool(faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--jobs", type=int, default=60, help="each fires every second (default 60)")
    return parser


@contextmanager
def _dead_target() -> Iterator[int]:
    """A port for the pages; the next one takes connections and never answers."""
    while True:
        with closing(socket.create_server(("127.0.0.1", 0))) as first:
            port = first.getsockname()[1]
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port + 1), backlog=1000)):
            yield port
            return


# -- one life of gcron --------------------------------------------------------------------------------------------


def _live(soak: Soak, seconds: float, is_last: bool) -> None:
    log = (soak.folder / "log").open("ab")
    process = subprocess.Popen(soak.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    over = threading.Event()
    work = [_reload, _trigger, *[_view] * 2, *[_stream] * STREAMS]
    threads = [threading.Thread(target=_repeat, args=(each, soak, process.pid, over)) for each in work]
    for thread in threads:
        thread.start()
    looks: list[Look] = []
    soak.lives.append(looks)
    begin = time.monotonic()
    while (second := time.monotonic() - begin) < seconds:
        looks.append(_look(process.pid, second))
        print(f"\rlife {len(soak.lives)}: {second:.0f} of {seconds:.0f} s", end="", file=sys.stderr)
        time.sleep(min(LOOK_EVERY, seconds))
    over.set()
    process.send_signal(signal.SIGTERM if is_last else signal.SIGKILL)
    status = process.wait(60)
    log.close()
    soak.done["KILL"] += not is_last
    for thread in threads:
        thread.join(30)
    if is_last and status:
        soak.done[f"FAULT exit status {status}"] += 1


def _repeat(work: object, soak: Soak, pid: int, over: threading.Event) -> None:
    while not over.is_set():
        try:
            work(soak, pid, over)  # type: ignore[operator]
        except (OSError, HTTPException):  # it is not there yet, or was killed
            over.wait(0.5)


def _reload(soak: Soak, pid: int, over: threading.Event) -> None:
    if not over.wait(RELOAD_EVERY):
        soak.done["reload"] += 1
        soak.write_crontab(soak.done["reload"])


def _trigger(soak: Soak, pid: int, over: threading.Event) -> None:
    over.wait(TRIGGER_EVERY)
    soak.done[f"trigger {_ask(soak, 'POST', '/api/v1/jobs/changing/trigger')[0]}"] += 1


def _view(soak: Soak, pid: int, over: threading.Event) -> None:
    for page in PAGES:
        over.wait(PAGE_EVERY)
        soak.done[f"page {_ask(soak, 'GET', page)[0]}"] += 1


def _ask(soak: Soak, method: str, path: str) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", soak.port, timeout=10)) as connection:
        connection.request(method, path, headers={"Authorization": f"Bearer {'s' * 40}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def _stream(soak: Soak, pid: int, over: threading.Event) -> None:
    """Follow what happens, as an open page does."""
    with closing(HTTPConnection("127.0.0.1", soak.port, timeout=5)) as connection:
        connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {'s' * 40}"})
        answer = connection.getresponse()
        soak.done[f"stream {answer.status}"] += 1
        while not over.is_set() and answer.read1(65536):
            soak.done["pieces of streams"] += 1


def _look(pid: int, second: float) -> Look:
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Look(second, process.memory_info().rss, process.num_fds(), times.user + times.system)


# -- what came of it ----------------------------------------------------------------------------------------------


def _check_fires(soak: Soak) -> list[str]:
    """Each second from a job's first fire to its last has one record or lies in one span; no fire has two marks."""
    with closing(sqlite3.connect(soak.folder / "state" / "history.db")) as database:
        ((answer,),) = database.execute("PRAGMA integrity_check")
        rows = database.execute(
            "SELECT job, outcome, fire_at, coalesce(last_fire_at, fire_at) FROM run WHERE job LIKE 'job-%'"
        ).fetchall()
        ((open_runs,),) = database.execute("SELECT count(*) FROM run WHERE outcome = ''")
    outcomes = Counter(outcome for _, outcome, _, _ in rows)
    print(f"\n{len(rows)} records of {soak.jobs} jobs: {dict(outcomes)}; integrity_check: {answer}")
    seen: dict[str, Counter[int]] = {}
    for job, _, first, last in rows:
        if first is not None:
            seen.setdefault(job, Counter()).update(range(first, last + 1))
    faults = [] if answer == "ok" else [f"integrity_check: {answer}"]
    faults += [f"{count} runs {outcome}" for outcome, count in outcomes.items() if outcome not in _EXPECTED]
    faults += [f"{open_runs} runs have no end"] * bool(open_runs)
    if len(seen) != soak.jobs:
        faults.append(f"{len(seen)} of {soak.jobs} jobs have records")
    for job, seconds in seen.items():
        lost = max(seconds) - min(seconds) + 1 - len(seconds)
        twice = sum(count > 1 for count in seconds.values())
        if lost or twice:
            faults.append(f"{job}: {lost} seconds without a record, {twice} with two")
    marks = Counter(soak.marks.read_text().splitlines())
    faults += [f"{count} starts of {mark}" for mark, count in marks.items() if count > 1]
    faults += [name for name in soak.done if name.startswith("FAULT")]
    return faults


_EXPECTED = {"succeeded", "missed", "lost", "unknown-exit"}


def _check_growth(soak: Soak) -> list[str]:
    faults = []
    for number, looks in enumerate(soak.lives, 1):
        settled = [look for look in looks if look.second >= SETTLING]
        half = len(settled) // 2
        if not half:
            continue
        # The least of each half: what is in flight at the moment of a look is no growth.
        memory = min(look.memory for look in settled[half:]) - min(look.memory for look in settled[:half])
        more = min(look.descriptors for look in settled[half:]) - min(look.descriptors for look in settled[:half])
        if memory > MOST_GROWTH:
            faults.append(f"life {number}: memory grew by {memory / 1e6:.1f} MB")
        if more > MOST_DESCRIPTORS:
            faults.append(f"life {number}: {more} more descriptors are open")
    return faults


def _print(soak: Soak) -> None:
    print("done: " + ", ".join(f"{name} {count}" for name, count in sorted(soak.done.items())))
    print(f"{'life':>4}  {'second':>7}  {'memory, MB':>10}  {'descriptors':>11}  {'CPU, % of one':>13}")
    for number, looks in enumerate(soak.lives, 1):
        for before, look in pairwise(looks):
            if look is not looks[-1] and round(look.second) % 60 >= LOOK_EVERY:
                continue
            cpu = 100 * (look.cpu - before.cpu) / (look.second - before.second)
            print(f"{number:4}  {look.second:7.0f}  {look.memory / 1e6:10.1f}  {look.descriptors:11}  {cpu:13.0f}")


if __name__ == "__main__":
    sys.exit(main())
