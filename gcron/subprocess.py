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
from types import TracebackType
from typing import IO, Any

from gcron.children import Child, ensure_reapable
from gcron.greenlet import joinall, killall, spawn
from gcron.hub import READ, WRITE, get_hub

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
    "list2cmdline",
    "run",
]

# One read of a pipe: as much as a Linux pipe holds by default.
_READ_SIZE = 65536
UNKNOWN_STATUS = -signal.NSIG
"""`Popen.returncode` when somebody else collected the status: no real status, and not success."""


class _CooperativePipe(io.RawIOBase):
    """One end of a pipe: tries the system call first, and parks until the pipe is ready when it would block."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self.name = file.name
        self.mode = file.mode
        os.set_blocking(file.fileno(), False)

    def fileno(self) -> int:
        return self._file.fileno()

    def readable(self) -> bool:
        return self._file.readable()

    def writable(self) -> bool:
        return self._file.writable()

    def readinto(self, buffer: Any) -> int:
        while True:
            count: int | None = self._file.readinto(buffer)
            if count is not None:
                return count
            get_hub().wait_io(self.fileno(), READ)

    def write(self, data: Any) -> int:
        while True:
            count: int | None = self._file.write(data)
            if count is not None:
                return count
            get_hub().wait_io(self.fileno(), WRITE)

    def close(self) -> None:
        if not self.closed:
            super().close()
            get_hub().io.closing(self._file.fileno(), OSError(9, "the pipe was closed while waiting for it"))
            self._file.close()


class Popen(_stdlib.Popen[Any]):
    """As `subprocess.Popen`; anything that waits parks the calling greenlet instead of the thread.

    `returncode` is -65 when the status was collected by somebody else. Accepted by `gcron.wait`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.text_mode: Any  # the standard library's own, unknown to its stubs
        self._child: Child | None = None
        self._collected: dict[Any, list[bytes]] = {}
        self._unsent: memoryview | None = None
        self._communicating = False
        ensure_reapable()
        super().__init__(*args, **kwargs)
        self._child = Child(self.pid)
        self.stdin = _cooperative(self.stdin)
        self.stdout = _cooperative(self.stdout)
        self.stderr = _cooperative(self.stderr)

    # -- the exit -------------------------------------------------------------------------------------------

    def poll(self) -> int | None:
        """Return the exit status if the child has ended, else None; never waits."""
        if self.returncode is None and self._child is not None:
            self._child.check()
            self._take_status()
        return self.returncode

    def _take_status(self) -> None:
        child = self._child
        if child is not None and child.ended and self.returncode is None:
            self.returncode = UNKNOWN_STATUS if child.status is None else child.status

    def _internal_poll(self, *args: Any, **kwargs: Any) -> int | None:
        # The standard library's __del__ and friends come here: one place alone collects the status.
        return self.poll() if hasattr(self, "_child") else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit and return its status; raises `TimeoutExpired` after `timeout` seconds."""
        if self.poll() is None:
            assert self._child is not None
            if not self._child.wait(timeout):
                raise TimeoutExpired(self.args, timeout or 0.0)
            self._take_status()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send `sig` if the child has not been collected yet: never to a process that reuses its pid."""
        if self.poll() is None:
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                return

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

        Raises `TimeoutExpired`, with what was read so far, after `timeout` seconds. That kills nothing; calling
        again goes on where it stopped and returns all of the output.
        """
        if self._communicating and input:
            raise ValueError("Cannot send input after starting communication")
        if not self._communicating:
            self._communicating = True
            self._begin_input(input)
        hub = get_hub()
        deadline = None if timeout is None else hub.monotonic() + timeout
        self._exchange(deadline, timeout)
        left = None if deadline is None else max(0.0, deadline - hub.monotonic())
        try:
            self.wait(left)
        except TimeoutExpired:
            raise self._expired(timeout) from None
        return self._output(self.stdout), self._output(self.stderr)

    def _begin_input(self, data: Any) -> None:
        if self.stdin is None:
            return
        if data is None:
            _close_quietly(self.stdin)
            return
        if self.text_mode:
            text_stdin: Any = self.stdin
            data = data.encode(text_stdin.encoding, text_stdin.errors)
        _flush_quietly(self.stdin)
        self._unsent = memoryview(data).cast("B")

    def _exchange(self, deadline: float | None, timeout: float | None) -> None:
        workers = [
            spawn(self._collect, stream) for stream in (self.stdout, self.stderr) if stream and not stream.closed
        ]
        if self._unsent is not None:
            workers.append(spawn(self._feed))
        left = None if deadline is None else max(0.0, deadline - get_hub().monotonic())
        try:
            done = joinall(workers, timeout=left) if left is not None else joinall(workers)
        finally:
            killall(workers)
        for worker in done:
            worker.get()
        if len(done) < len(workers):
            raise self._expired(timeout)

    def _collect(self, stream: IO[Any]) -> None:
        """Read to the end, past the stream's own buffers: what they hold comes first."""
        chunks = self._collected.setdefault(stream, [])
        binary = getattr(stream, "buffer", stream)
        # read1 gives what its own buffer holds from earlier reads before it asks the pipe.
        read = binary.read1 if isinstance(binary, io.BufferedReader) else binary.read
        while chunk := read(_READ_SIZE):
            chunks.append(chunk)
        stream.close()

    def _feed(self) -> None:
        assert self.stdin is not None
        fd = self.stdin.fileno()
        hub = get_hub()
        try:
            while self._unsent:
                try:
                    sent = os.write(fd, self._unsent[:_READ_SIZE])
                except BlockingIOError:
                    hub.wait_io(fd, WRITE)
                    continue
                self._unsent = self._unsent[sent:]
        except BrokenPipeError:
            pass  # it does not want the rest, as with a shell's pipe
        self._unsent = None
        _close_quietly(self.stdin)

    def _output(self, stream: Any) -> Any:
        if stream is None:
            return None
        data = b"".join(self._collected.get(stream, []))
        if not self.text_mode:
            return data
        text = data.decode(stream.encoding, stream.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        outputs = [b"".join(self._collected.get(s, ())) or None for s in (self.stdout, self.stderr)]
        return TimeoutExpired(self.args, timeout or 0.0, output=outputs[0], stderr=outputs[1])

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                _close_quietly(stream)
        self.wait()


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


def _cooperative(stream: Any) -> Any:
    """Rebuild the stack of file objects that the standard library made over one pipe, on a cooperative end."""
    if stream is None:
        return None
    if isinstance(stream, io.TextIOWrapper):
        encoding, errors = stream.encoding, stream.errors
        line_buffering, write_through = stream.line_buffering, stream.write_through
        return io.TextIOWrapper(
            _cooperative(stream.detach()),
            encoding=encoding,
            errors=errors,
            line_buffering=line_buffering,
            write_through=write_through,
        )
    if isinstance(stream, io.BufferedReader):
        return io.BufferedReader(_CooperativePipe(stream.detach()), _READ_SIZE)  # type: ignore[arg-type]
    if isinstance(stream, io.BufferedWriter):
        return io.BufferedWriter(_CooperativePipe(stream.detach()))  # type: ignore[arg-type]
    return _CooperativePipe(stream)


def _close_quietly(stream: Any) -> None:
    """Close a pipe to a child that may be gone: what it did not read is lost, as with a shell's pipe."""
    try:
        stream.close()
    except OSError:
        return


def _flush_quietly(stream: Any) -> None:
    try:
        stream.flush()
    except BrokenPipeError:
        return


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
    if kwargs.get("stdout") is not None:
        raise ValueError("stdout argument not allowed, it will be overridden.")
    kwargs["stdout"] = PIPE
    if "input" in kwargs and kwargs["input"] is None:
        kwargs["input"] = (
            "" if any(kwargs.get(k) for k in ("text", "universal_newlines", "encoding", "errors")) else b""
        )
    return run(*popenargs, timeout=timeout, check=True, **kwargs).stdout
