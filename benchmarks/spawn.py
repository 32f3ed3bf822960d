"""Processes: what it costs to start one and to learn of its end.

    python benchmarks/spawn.py --impl gcron --only popen-wait

Each body is written once, as a coroutine. The implementations that have no coroutines never suspend it.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic_ns, perf_counter

import harness
from harness import Area, Measure
from peers import Run, implementations, run_unsuspended

AREAS = (
    Area("popen-wait", "Popen(['true']) and wait, one after the other", 300, (Measure("each", "ms"),)),
    Area(
        "exit-to-wait",
        "a child's last instruction until wait() has returned",
        200,
        (Measure("median", "ms"),),
    ),
    Area("popen-wait-1gib", "Popen(['true']) and wait in a parent of 1 GiB", 100, (Measure("each", "ms"),)),
)

BALLAST_BYTES = 1 << 30
STAMP_SOURCE = Path(__file__).with_name("exit_stamp.c")
STAMP_IN_PYTHON = """
import os, time
time.sleep(0.003)
os.write(1, time.monotonic_ns().to_bytes(8, "little"))
os._exit(0)
"""
CALL = ["true"]

Call = Callable[..., Awaitable[int]]
"""Starts a command with an optional `stdout` descriptor, waits, and returns its exit status."""


@dataclass(frozen=True, slots=True)
class Spawner:
    """An implementation: how to run a coroutine, and how to run a command in it."""

    run: Run
    call: Call

    def popen_wait(self, count: int) -> float:
        return self.run(_popen_wait(self.call, count))

    def exit_to_wait(self, count: int) -> float:
        return self.run(_exit_to_wait(self.call, count))

    def popen_wait_1gib(self, count: int) -> float:
        with _ballast():
            return self.popen_wait(count)


async def _popen_wait(call: Call, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        harness.check(await call(CALL) == 0, "the child failed")
    return (perf_counter() - start) / count


async def _exit_to_wait(call: Call, count: int) -> float:
    latencies = []
    with tempfile.TemporaryDirectory() as folder, _pipe() as (source, sink):
        command = _stamp_command(Path(folder))
        for _ in range(count):
            status = await call(command, stdout=sink)
            returned = monotonic_ns()
            harness.check(status == 0, "the child failed")
            latencies.append(returned - int.from_bytes(os.read(source, 8), sys.byteorder))
    return statistics.median(latencies) / 1e9


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe that no implementation knows: none takes it for the child's stream and waits for its end."""
    source, sink = os.pipe()
    try:
        yield source, sink
    finally:
        os.close(source)
        os.close(sink)


def _stamp_command(folder: Path) -> list[str]:
    """The child that writes when it exits: in C, or without a compiler in Python, which exits more slowly."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("spawn: no C compiler, exit-to-wait includes the end of a Python process", file=sys.stderr)
        return [sys.executable, "-I", "-S", "-c", STAMP_IN_PYTHON]
    program = folder / "exit_stamp"
    subprocess.run([compiler, "-O2", "-o", program, STAMP_SOURCE], check=True)
    return [str(program)]


@contextmanager
def _ballast() -> Iterator[None]:
    """Memory whose page tables a fork must copy: private, touched, in small pages.

    Shared memory, the default of an anonymous `mmap`, would hide the cost. So would huge pages: they make the tables
    512 times smaller.
    """
    with mmap.mmap(-1, BALLAST_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for offset in range(0, BALLAST_BYTES, mmap.PAGESIZE):
            memory[offset] = 1
        yield


def _popen(module: str) -> Spawner:
    popen = import_module(module).Popen

    async def call(command: list[str], stdout: int | None = None) -> int:
        status: int = popen(command, stdout=stdout).wait()
        return status

    return Spawner(run_unsuspended, call)


def _asyncio(run: Run) -> Spawner:
    return Spawner(run, _asyncio_call)


async def _asyncio_call(command: list[str], stdout: int | None = None) -> int:
    import asyncio

    process = await asyncio.create_subprocess_exec(*command, stdout=stdout)
    return await process.wait()


def _trio(run: Run) -> Spawner:
    import trio

    async def call(command: list[str], stdout: int | None = None) -> int:
        process = await trio.lowlevel.open_process(command, stdout=stdout)
        return await process.wait()

    return Spawner(run, call)


PROGRAM = harness.Program("spawn", AREAS, implementations(_popen, _asyncio, _trio))

if __name__ == "__main__":
    harness.main(PROGRAM)
