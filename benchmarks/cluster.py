"""Several nodes over PostgreSQL: what a claim costs, and how four nodes compare with one on SQLite.

    .venv/bin/python benchmarks/cluster.py                      # everything
    .venv/bin/python benchmarks/cluster.py --only burst --rounds 5

It starts a PostgreSQL of its own (Debian's package postgresql), with fsync on, on the disk of /tmp. All nodes run on
this machine, so four of them share its processors with the database: machines of their own are not slower.
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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the server is that of the tests

from tests.postgres import Database, Postgres, why_no_postgres  # noqa: E402
from tests.unprivileged import as_user, new_directory  # noqa: E402

NODES = 4
# Jobs due at one second; fires a second, and for how long; for how long nothing is due.
BURST, RATE, SUSTAINED, IDLE = 1_000, 200, 60, 60
CLAIMS, BATCHES = 1_000, 100
# Seconds from the start of the nodes until jobs are due; until the last one has begun; for a settled node.
AHEAD, PATIENCE, SETTLING = 12, 120.0, 10.0
# After so long a node looks once through all jobs for runs to delete, and then each hour.
FIRST_ROUND = 60.0
EVERY_SECOND = "* * * * * * *"
NEVER = "0 0 29 2 *"


def main() -> int:
    """Measure and print."""
    options = _parser().parse_args()
    if reason := why_no_postgres():
        print(reason, file=sys.stderr)
        return 3
    server = Postgres({"fsync": "on"})
    try:
        server.start()
        for name in options.only or AREAS:
            AREAS[name](server, options.rounds)
    finally:
        server.remove()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(AREAS), help="this area (may be repeated)")
    parser.add_argument("--rounds", type=int, default=3, help="of `burst` (default 3)")
    return parser


# -- areas ------------------------------------------------------------------------------------------------------


def claims(server: Postgres, rounds: int) -> None:
    """Claims of one fire each, one after the other, from one node without anything else to do; then of many at once."""
    from gcron.scheduler.cluster import SharedFire

    with _cluster(server.new_database()) as cluster:
        seconds = []
        now = int(time.time())
        for number in range(CLAIMS):
            begin = time.perf_counter()
            (verdict,) = cluster.claim([SharedFire(f"job {number}", now)])
            seconds.append(time.perf_counter() - begin)
            assert verdict, verdict
        together = [_claim_together(cluster, now - number) for number in range(BATCHES)]
    _print("claim", f"p50 {_ms(seconds, 50)}, p99 {_ms(seconds, 99)}, worst {_ms(seconds, 100)} of {CLAIMS:,}")
    _print("claim", f"{BURST:,} at once: p50 {_ms(together, 50)}, worst {_ms(together, 100)} of {BATCHES}")


def _claim_together(cluster: Any, fire_at: int) -> float:
    from gcron.scheduler.cluster import SharedFire

    begin = time.perf_counter()
    verdicts = cluster.claim([SharedFire(f"job {number} of many", fire_at) for number in range(BURST)])
    seconds = time.perf_counter() - begin
    assert all(verdicts), verdicts
    return seconds


def burst(server: Postgres, rounds: int) -> None:
    """So many jobs due at one second: until the last one has begun, on one node with SQLite and on four."""
    pairs = []
    for _ in range(rounds):
        one = _burst(1, None)
        four = _burst(NODES, server.new_database())
        pairs.append((one, four))
        _print("burst", f"{BURST:,} jobs: one node {one:.2f} s, {NODES} nodes {four:.2f} s, ratio {four / one:.2f}")
    ratios = sorted(four / one for one, four in pairs)
    _print("burst", f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) in {rounds} rounds")


def sustained(server: Postgres, rounds: int) -> None:
    """So many fires each second: how late they start, and whether each does once."""
    command = 'read -r up rest </proc/uptime; echo "$GCRON_JOB $GCRON_FIRE_AT $up" >>{marks}/lines'
    entries = [_entry(number, EVERY_SECOND, command) for number in range(RATE)]
    with _nodes(NODES, server.new_database(), entries) as marks:
        time.sleep(AHEAD)
        begin = int(time.time())
        time.sleep(SUSTAINED + 5)
        lines = [line.split() for line in (marks / "lines").read_text().splitlines()]
        since_boot = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    late = {}
    doubles = 0
    for job, fire_at, uptime in lines:
        if begin <= int(fire_at) < begin + SUSTAINED:
            doubles += (job, fire_at) in late
            late[job, fire_at] = since_boot + float(uptime) - int(fire_at)
    seconds = list(late.values())
    _print(
        "sustained",
        f"{RATE} fires a second for {SUSTAINED} s on {NODES} nodes: {len(late):,} of {RATE * SUSTAINED:,} started, "
        f"{doubles} twice; late p50 {_ms(seconds, 50)}, p99 {_ms(seconds, 99)}, worst {_ms(seconds, 100)}",
    )


def idle(server: Postgres, rounds: int) -> None:
    """How many statements a node sends while nothing is due."""
    database = server.new_database()
    with _nodes(NODES, database, [_entry(number, NEVER, "true") for number in range(20)]):
        time.sleep(AHEAD + SETTLING + FIRST_ROUND)
        with _logged_statements(server) as statements:
            time.sleep(IDLE)
            counts = Counter(re.sub(r"\W.*", "", text.partition("gcron")[2].lstrip('".')) for text in statements())
    each = ", ".join(f"{name} {number / NODES:g}" for name, number in counts.most_common())
    _print("idle", f"{counts.total() / NODES:.1f} statements a minute and node ({each})")


@contextmanager
def _logged_statements(server: Postgres) -> Iterator[Callable[[], list[str]]]:
    """Have the server log each statement. Return what returns those of gcron since then."""

    def log(what: str) -> None:
        server.sql(f"alter system set log_statement = '{what}'")
        server.sql("select pg_reload_conf()")
        time.sleep(1)

    log("all")
    begin = len(server.log)
    yield lambda: re.findall(r"(?:execute [^:]*|statement): (.*gcron.*)", server.log[begin:])
    log("none")


AREAS = {"claims": claims, "burst": burst, "sustained": sustained, "idle": idle}


def _burst(nodes: int, database: Database | None) -> float:
    due = int(time.time()) + AHEAD
    schedule = f"{datetime.fromtimestamp(due, UTC):%-S %-M %-H * * * *}"
    entries = [_entry(number, schedule, f": >{{marks}}/{number}") for number in range(BURST)]
    with _nodes(nodes, database, entries) as marks:
        deadline = due + PATIENCE
        while len(os.listdir(marks)) < BURST:
            if time.time() > deadline:
                raise SystemExit(f"{len(os.listdir(marks))} of {BURST} jobs started on {nodes} nodes")
            time.sleep(0.05)
        return max(mark.stat().st_mtime for mark in marks.iterdir()) - due


# -- nodes ------------------------------------------------------------------------------------------------------


@contextmanager
def _nodes(number: int, database: Database | None, entries: Sequence[str]) -> Iterator[Path]:
    """Run so many nodes with these entries. Return the directory into which jobs write."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, ExitStack() as stack:
        Path(folder).chmod(0o777)
        marks = Path(folder, "marks")
        marks.mkdir()
        marks.chmod(0o777)
        for name in "abcd"[:number]:
            stack.enter_context(_node(name, database, "".join(entries).format(marks=marks)))
        yield marks


@contextmanager
def _node(name: str, database: Database | None, crontab: str) -> Iterator[None]:
    home = new_directory("node-")
    (home / "crontab").write_text(crontab)
    state = ["--state", str(home / "state")] if database is None else ["--state", database.url, "--node", name]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_STATE_HOME": str(home), "TZ": "UTC"}
    environment |= {"XDG_RUNTIME_DIR": str(home), "PYTHONPATH": str(ROOT)}
    command = [*as_user(dies_with_us=True), sys.executable, "-m", "gcron", "run", *state, str(home / "crontab")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
        if process.poll() is not None:
            raise SystemExit(f"a node ended with {process.returncode}:\n{(home / 'log').read_text()[-2000:]}")
    finally:
        process.terminate()
        process.wait()
        subprocess.run(["rm", "-r", home], check=True)


@contextmanager
def _cluster(database: Database) -> Iterator[Any]:
    """A node without a scheduler."""
    from gcron.state.postgres.store import PostgresStore

    with tempfile.TemporaryDirectory() as output:
        store = PostgresStore(database.url, output, node="a")
        store.open()
        try:
            yield store.cluster
        finally:
            store.close()


def _entry(number: int, schedule: str, command: str) -> str:
    return f"# gcron: name=job-{number} overlap=allow\n{schedule}  {command}\n"


def _ms(seconds: Sequence[float], percent: int) -> str:
    ordered = sorted(seconds)
    return f"{ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000:.1f} ms"


def _print(area: str, text: str) -> None:
    print(f"{area:<10} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
