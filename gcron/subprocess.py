"""The standard library's `subprocess`, with waiting that lets other greenlets run.

`Popen` is a subclass: spawning, arguments, errors and text handling are the standard library's own (it spawns with
vfork); only reading, writing and waiting are cooperative. How an exit is learnt lives in `gcron.children`.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess as _stdlib
from collections.abc import Callable
from contextlib import suppress
from subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    CalledProcessError,
    CompletedProcess,
    SubprocessError,
    TimeoutExpired,
    list2cmdline,
)
from typing import Any

from gcron.children import Child, ensure_reapable
from gcron.hub import get_hub, yield_now
from gcron.pipes import READ, READ_SIZE, WRITE, cooperative, raw_pipe, wait_for_any

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "SubprocessError",
    "TimeoutExpired",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "list2cmdline",
    "run",
]

# A child that writes as fast as we read never lets us park. After so many reads others have a turn.
_READS_IN_A_ROW = 64
UNKNOWN_STATUS = -signal.NSIG
"""`Popen.returncode` when somebody else collected the status: no real status, and not success."""


class Popen(_stdlib.Popen[Any]):
    """As `subprocess.Popen`; anything that waits parks the calling greenlet instead of the thread.

    `returncode` is `UNKNOWN_STATUS` when the status was collected by somebody else. Accepted by `gcron.wait`.
    """

    def __init__(self, args: Any, bufsize: int = -1, *more: Any, **kwargs: Any) -> None:
        self.text_mode: Any  # the standard library's own, unknown to its stubs
        self._child: Child | None = None
        self._collected: dict[Any, io.BytesIO] = {}
        self._unsent: memoryview | None = None
        self._communicating = False
        ensure_reapable()
        super().__init__(args, bufsize, *more, **kwargs)
        self._child = Child(self.pid)
        self.stdin = cooperative(self.stdin, bufsize)
        self.stdout = cooperative(self.stdout, bufsize)
        self.stderr = cooperative(self.stderr, bufsize)

    # -- the exit -------------------------------------------------------------------------------------------

    # `poll`, `wait`, `send_signal`, `__exit__` and `__del__` of the standard library come to the next two, so that one
    # place alone collects the status.

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        child = self._child
        if self.returncode is None and child is not None:
            child.check()
            self._take_status(child)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        child = self._child
        assert child is not None
        if self._internal_poll() is None:
            if not child.wait(timeout):
                raise TimeoutExpired(self.args, timeout or 0.0)
            self._take_status(child)
        return self.returncode

    def _take_status(self, child: Child) -> None:
        if child.ended and self.returncode is None:
            self.returncode = UNKNOWN_STATUS if child.status is None else child.status

    def ready(self) -> bool:
        """True once the child has ended."""
        return self.poll() is not None

    def rawlink(self, callback: Callable[[Popen], object]) -> None:
        """Call `callback(self)` in the hub once the child has ended."""
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        assert self._child is not None
        self._child.rawlink(_ExitLink(self, callback))

    def unlink(self, callback: Callable[[Popen], object]) -> None:
        """Forget an earlier `rawlink`."""
        assert self._child is not None
        self._child.unlink(_ExitLink(self, callback))

    # -- talking --------------------------------------------------------------------------------------------

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Send `input`, read both outputs to their ends, wait for the exit; return `(stdout, stderr)`.

        Raises `TimeoutExpired`, with what was read so far (bytes), after `timeout` seconds. That kills nothing;
        calling again goes on where it stopped and returns all of the output.
        """
        if self._communicating and input:
            raise ValueError("Cannot send input after starting communication")
        monotonic = get_hub().monotonic
        deadline = None if timeout is None else monotonic() + timeout
        if not self._communicating:
            self._begin(input)
            self._communicating = True
        try:
            self._exchange(deadline)
            self.wait(None if deadline is None else deadline - monotonic())
        except TimeoutExpired:
            raise self._expired(timeout) from None
        return self._output(self.stdout), self._output(self.stderr)

    def _begin(self, data: Any) -> None:
        for stream in (self.stdout, self.stderr):
            if stream is not None and not stream.closed:
                self._collected[stream] = collected = io.BytesIO()
                collected.write(_take_buffered(stream))
        if self.stdin is None:
            return
        if not data:
            _close_ignoring_broken_pipe(self.stdin)
            return
        if self.text_mode:
            text_stdin: Any = self.stdin
            data = data.encode(text_stdin.encoding, text_stdin.errors)
        unsent = memoryview(data).cast("B")
        with suppress(BrokenPipeError):
            self.stdin.flush()
        self._unsent = unsent

    def _exchange(self, deadline: float | None) -> None:
        """Move bytes until both outputs have ended and the input is sent; past `deadline`, raise `TimeoutExpired`."""
        monotonic = get_hub().monotonic
        while True:
            reading = [stream for stream in self._collected if not stream.closed]
            moved = self._send() if self._unsent is not None else False
            for stream in reading:
                moved = self._receive(stream) or moved
            wanted = [(raw_pipe(stream), READ) for stream in reading if not stream.closed]
            if self._unsent is not None:
                wanted.append((raw_pipe(self.stdin), WRITE))
            if not wanted:
                return
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise TimeoutExpired(self.args, 0.0)
            if moved:
                yield_now()
            else:
                wait_for_any(wanted, left)

    def _receive(self, stream: Any) -> bool:
        """Read what is there, closing the stream at its end; False when nothing is there yet. HOT PATH."""
        fd = stream.fileno()
        collect = self._collected[stream].write
        for count in range(_READS_IN_A_ROW):
            try:
                chunk = os.read(fd, READ_SIZE)
            except BlockingIOError:
                return count > 0
            if not chunk:
                stream.close()
                break
            collect(chunk)
        return True

    def _send(self) -> bool:
        """Write what the pipe takes, closing it after the last byte; False when it is full."""
        assert self.stdin is not None
        assert self._unsent is not None
        try:
            sent = os.write(self.stdin.fileno(), self._unsent)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            sent = len(self._unsent)  # it does not want the rest, as with a shell's pipe
        self._unsent = self._unsent[sent:] if sent < len(self._unsent) else None
        if self._unsent is None:
            _close_ignoring_broken_pipe(self.stdin)
        return True

    def _output(self, stream: Any) -> Any:
        if stream is None:
            return None
        data = self._collected_from(stream)
        if not self.text_mode:
            return data
        text = data.decode(stream.encoding, stream.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        stdout = self._collected_from(self.stdout) or None
        stderr = self._collected_from(self.stderr) or None
        return TimeoutExpired(self.args, timeout or 0.0, output=stdout, stderr=stderr)

    def _collected_from(self, stream: Any) -> bytes:
        # A BytesIO grows in place and gives its bytes away uncopied: a list of chunks would need twice the memory.
        collected = self._collected.get(stream)
        return b"" if collected is None else collected.getvalue()


class _ExitLink:
    """A user's callback on a Popen, hung on its `Child`."""

    __slots__ = ("callback", "process")

    def __init__(self, process: Popen, callback: Callable[[Popen], object]) -> None:
        self.process = process
        self.callback = callback

    def __call__(self, child: Child) -> None:
        self.process.poll()
        self.callback(self.process)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ExitLink) and (self.process, self.callback) == (
            other.process,
            other.callback,
        )

    def __hash__(self) -> int:
        return hash((id(self.process), self.callback))


def _take_buffered(stream: Any) -> bytes:
    """Return what earlier reads left in the stream's buffer, without waiting for more."""
    binary = getattr(stream, "buffer", stream)
    if not isinstance(binary, io.BufferedReader):
        return b""
    pipe = raw_pipe(stream)
    pipe.patient = False
    try:
        return binary.read1(READ_SIZE) or b""
    finally:
        pipe.patient = True


def _close_ignoring_broken_pipe(stream: Any) -> None:
    """Close a pipe to a child that may be gone: what it did not read is lost, as with a shell's pipe."""
    with suppress(BrokenPipeError):
        stream.close()


def run(
    *popenargs: Any,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **kwargs: Any,
) -> CompletedProcess[Any]:
    """As `subprocess.run`.

    Past `timeout` seconds it kills and collects the child and raises `TimeoutExpired` at once, with what was read so
    far, even when a process that the child left behind still holds the pipe.
    """
    if input is not None:
        if kwargs.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        kwargs["stdin"] = PIPE
    if capture_output:
        if kwargs.get("stdout") is not None or kwargs.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        kwargs["stdout"] = kwargs["stderr"] = PIPE
    with Popen(*popenargs, **kwargs) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise CalledProcessError(process.returncode, process.args, output=stdout, stderr=stderr)
    return CompletedProcess(process.args, process.wait(), stdout, stderr)


def call(*popenargs: Any, timeout: float | None = None, **kwargs: Any) -> int:
    """As `subprocess.call`: run, wait, return the exit status."""
    with Popen(*popenargs, **kwargs) as process:
        try:
            return process.wait(timeout=timeout)
        except BaseException:
            process.kill()
            raise


def check_call(*popenargs: Any, **kwargs: Any) -> int:
    """As `call`; raises `CalledProcessError` when the status is not 0."""
    status = call(*popenargs, **kwargs)
    if status:
        raise CalledProcessError(status, kwargs.get("args") or popenargs[0])
    return 0


def check_output(*popenargs: Any, timeout: float | None = None, **kwargs: Any) -> Any:
    """As `subprocess.check_output`: return what it writes to stdout."""
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if "input" in kwargs and kwargs["input"] is None:
        is_text = any(kwargs.get(name) for name in ("text", "universal_newlines", "encoding", "errors"))
        kwargs["input"] = "" if is_text else b""
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **kwargs).stdout


def getstatusoutput(cmd: str | bytes, *, encoding: str | None = None, errors: str | None = None) -> tuple[int, str]:
    """As `subprocess.getstatusoutput`: run it in a shell; return its exit status and output, one newline less."""
    done = run(cmd, shell=True, text=True, stdout=PIPE, stderr=STDOUT, encoding=encoding, errors=errors)
    output: str = done.stdout
    return done.returncode, output.removesuffix("\n")


def getoutput(cmd: str | bytes, *, encoding: str | None = None, errors: str | None = None) -> str:
    """As `subprocess.getoutput`: the output of a shell command, whatever its status."""
    return getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
