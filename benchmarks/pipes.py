"""Pipes: what it costs to move much data from and to a child process.

    python benchmarks/pipes.py --impl gcron --only read

Each body is written once, as a coroutine. The implementations that have no coroutines never suspend it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any, Protocol

import harness
from harness import Area, Measure
from peers import Run, implementations, run_unsuspended

MIB = 1 << 20
READ_SIZE = 1 << 18
LINE = b"a line of forty characters, more or less\n"

AREAS = (
    Area("read", "reading a child's stdout to its end, a MiB", 1024, (Measure("each", "µs"),)),
    Area("communicate", "communicate() with a child that writes, a MiB", 256, (Measure("each", "µs"),)),
    Area("lines", "iterating over the lines of a child's stdout", 2_000_000, (Measure("each", "µs"),)),
    Area("cat", "communicate(input) into `cat` and back, a MiB", 256, (Measure("each", "µs"),)),
)


class Reader(Protocol):
    """A child's stdout."""

    async def read(self) -> bytes:
        """Return some bytes, none at the end."""

    def lines(self) -> AsyncIterator[bytes]:
        """Iterate over its lines."""


Spawn = Callable[[list[str]], AbstractAsyncContextManager[Reader]]
Communicate = Callable[[list[str], bytes | None], Coroutine[Any, Any, bytes]]


@dataclass(frozen=True, slots=True)
class Talker:
    """An implementation: how to run a coroutine, start a command with a pipe, and communicate with one."""

    run: Run
    spawn: Spawn
    communicate_with: Communicate

    def read(self, mebibytes: int) -> float:
        return self.run(_read(self.spawn, mebibytes))

    def lines(self, count: int) -> float:
        return self.run(_lines(self.spawn, count))

    def communicate(self, mebibytes: int) -> float:
        return self.run(_communicate(self.communicate_with, _zeros(mebibytes), None, mebibytes))

    def cat(self, mebibytes: int) -> float:
        return self.run(_communicate(self.communicate_with, ["cat"], bytes(mebibytes * MIB), mebibytes))


def _zeros(mebibytes: int) -> list[str]:
    return ["head", "-c", str(mebibytes * MIB), "/dev/zero"]


async def _read(spawn: Spawn, mebibytes: int) -> float:
    start = perf_counter()
    total = 0
    async with spawn(_zeros(mebibytes)) as reader:
        while data := await reader.read():
            total += len(data)
    harness.check(total == mebibytes * MIB, "bytes are missing")
    return (perf_counter() - start) / mebibytes


async def _lines(spawn: Spawn, count: int) -> float:
    start = perf_counter()
    seen = 0
    text = LINE.decode().rstrip("\n")
    async with spawn(["sh", "-c", f"yes '{text}' | head -n {count}"]) as reader:
        async for line in reader.lines():
            seen += line == LINE
    harness.check(seen == count, "lines are missing")
    return (perf_counter() - start) / count


async def _communicate(communicate: Communicate, command: list[str], data: bytes | None, mebibytes: int) -> float:
    start = perf_counter()
    output = await communicate(command, data)
    seconds = perf_counter() - start
    harness.check(len(output) == mebibytes * MIB, "bytes are missing")
    return seconds / mebibytes


# -- without coroutines -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _FileReader:
    file: Any

    async def read(self) -> bytes:
        data: bytes = self.file.read(READ_SIZE)
        return data

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self.file:
            yield line


def _popen(module: str) -> Talker:
    subprocess = import_module(module)

    @asynccontextmanager
    async def spawn(command: list[str]) -> AsyncIterator[Reader]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        yield _FileReader(process.stdout)
        process.stdout.close()
        harness.check(process.wait() == 0, "the child failed")

    async def communicate(command: list[str], data: bytes | None) -> bytes:
        stdin = None if data is None else subprocess.PIPE
        output: bytes = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE).communicate(data)[0]
        return output

    return Talker(run_unsuspended, spawn, communicate)


# -- asyncio ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _StreamReader:
    stream: Any

    async def read(self) -> bytes:
        data: bytes = await self.stream.read(READ_SIZE)
        return data

    async def lines(self) -> AsyncIterator[bytes]:
        async for line in self.stream:
            yield line


@asynccontextmanager
async def _asyncio_spawn(command: list[str]) -> AsyncIterator[Reader]:
    import asyncio

    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    yield _StreamReader(process.stdout)
    harness.check(await process.wait() == 0, "the child failed")


async def _asyncio_communicate(command: list[str], data: bytes | None) -> bytes:
    from asyncio import create_subprocess_exec
    from asyncio.subprocess import PIPE

    process = await create_subprocess_exec(*command, stdin=None if data is None else PIPE, stdout=PIPE)
    output, _ = await process.communicate(data)
    return output


def _asyncio(run: Run) -> Talker:
    return Talker(run, _asyncio_spawn, _asyncio_communicate)


# -- trio ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TrioReader:
    stream: Any

    async def read(self) -> bytes:
        data: bytes = await self.stream.receive_some(READ_SIZE)
        return data

    async def lines(self) -> AsyncIterator[bytes]:
        """trio has no lines: this is what its users write themselves."""
        rest = b""
        while data := await self.stream.receive_some(READ_SIZE):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if rest:
            yield rest


def _trio(run: Run) -> Talker:
    import trio

    @asynccontextmanager
    async def spawn(command: list[str]) -> AsyncIterator[Reader]:
        import subprocess

        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        yield _TrioReader(process.stdout)
        harness.check(await process.wait() == 0, "the child failed")

    async def communicate(command: list[str], data: bytes | None) -> bytes:
        done = await trio.run_process(command, stdin=data or b"", capture_stdout=True)
        output: bytes = done.stdout
        return output

    return Talker(run, spawn, communicate)


PROGRAM = harness.Program("pipes", AREAS, implementations(_popen, _asyncio, _trio))

if __name__ == "__main__":
    harness.main(PROGRAM)
