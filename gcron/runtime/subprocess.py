"""The standard library's `subprocess`, with waiting that lets other greenlets run.

`Popen` is a subclass: spawning (by vfork), arguments, errors and text handling are the standard library's. Only
reading, writing and waiting are cooperative. Waiting for exits is in `children`, the work of `communicate` in
`communication`.

On systems without pidfds (`os.pidfd_open`) a thread other than the main one checks for an exit every 20 ms.
"""

from __future__ import annotations

import os
import subprocess as _stdlib
from collections.abc import Callable, Mapping
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

from gcron.runtime.children import UNKNOWN_STATUS, Child, Wait, ensure_reapable
from gcron.runtime.communication import Communication
from gcron.runtime.hub import get_hub
from gcron.runtime.pipes import blocking_twin, cooperative

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "UNKNOWN_STATUS",
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

# Arguments of `Popen` with which there is nothing to search, or the child may find another program.
_OTHER_SEARCHES = frozenset(["executable", "shell", "preexec_fn", "user", "group", "extra_groups"])


class Popen(_stdlib.Popen[Any]):
    """As `subprocess.Popen`, but a call that waits parks the calling greenlet instead of the thread.

    `returncode` is `UNKNOWN_STATUS` when somebody else has collected the status. `gcron.wait` takes it.
    """

    def __init__(self, args: Any, bufsize: int = -1, *more: Any, **kwargs: Any) -> None:
        self.text_mode: Any  # the standard library's own, unknown to its stubs
        self._child: Child | None = None
        self._links: list[tuple[Callable[[Popen], object], Wait]] = []
        self._communication: Communication | None = None
        self._twins: list[int] = []
        ensure_reapable()
        found = None
        if not more and isinstance(args, (list, tuple)) and args and _OTHER_SEARCHES.isdisjoint(kwargs):
            found = find_executable(args[0], kwargs.get("env"))
        try:
            if found is not None:
                try:
                    super().__init__(args, bufsize, found, **kwargs)
                except OSError:
                    # It cannot be executed: let the standard library go on searching, or say what is wrong.
                    found = None
            if found is None:
                super().__init__(args, bufsize, *more, **kwargs)
        finally:
            while self._twins:
                os.close(self._twins.pop())
        self._child = Child(self.pid)
        if self.stdin is not None:
            self.stdin = cooperative(self.stdin, bufsize)
        if self.stdout is not None:
            self.stdout = cooperative(self.stdout, bufsize)
        if self.stderr is not None:
            self.stderr = cooperative(self.stderr, bufsize)

    def _get_handles(self, stdin: Any, stdout: Any, stderr: Any) -> Any:
        """Turn arguments into descriptors, as the standard library does, but blocking ones for the child."""
        return super()._get_handles(*map(self._blocking, (stdin, stdout, stderr)))  # type: ignore[misc]

    def _blocking(self, given: Any) -> Any:
        # Our pipes and sockets are non-blocking. A child, `cat` in a pipeline for example, would take EAGAIN for an
        # error.
        if given is None or (isinstance(given, int) and given < 0):
            return given
        fd = given if isinstance(given, int) else given.fileno()
        try:
            if os.get_blocking(fd):
                return given
        except OSError:
            return given  # it is not open: the standard library will say so
        twin = blocking_twin(fd)
        if twin is None:
            # The flag is shared with the child. Our sockets do not rely on it. A pipe, if /proc is missing, belongs to
            # the child from now on: reading it here, too, would block the loop.
            os.set_blocking(fd, True)
            return given
        self._twins.append(twin)
        return twin

    # -- the exit -------------------------------------------------------------------------------------------

    # `poll`, `wait`, `send_signal`, `__exit__` and `__del__` of the standard library call the next two methods, so that
    # `Child` alone collects the status.

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        child = self._child
        if self.returncode is None and child is not None:
            child.check()
            self.returncode = child.status
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        child = self._child
        assert child is not None
        if self.returncode is None:
            if not child.wait(timeout):
                raise TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = child.status
        assert self.returncode is not None
        return self.returncode

    def ready(self) -> bool:
        """True once the child has ended."""
        return self.poll() is not None

    def rawlink(self, callback: Callable[[Popen], object]) -> None:
        """Call `callback(self)` in the hub when the child has ended."""
        if not callable(callback):
            raise TypeError(f"expected a callable, got {callback!r}")
        assert self._child is not None
        self._links.append((callback, self._child.at_end(self._call, callback)))

    def unlink(self, callback: Callable[[Popen], object]) -> None:
        """Remove an earlier `rawlink` of this thread, even one that is about to be called. Unknown ones are fine."""
        hub = get_hub()
        for link in self._links:
            if link[0] == callback and link[1].hub is hub:
                link[1].cancel()
                self._links.remove(link)
                return

    def _call(self, callback: Callable[[Popen], object]) -> None:
        self.unlink(callback)
        self.poll()
        callback(self)

    # -- talking --------------------------------------------------------------------------------------------

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Send `input`, read both outputs to their ends, and wait for the exit. Return `(stdout, stderr)`.

        Raises `TimeoutExpired`, with what was read so far (bytes), after `timeout` seconds. The child is not killed.
        The next call continues, and returns all of the output.
        """
        if self._communication is not None and input:
            raise ValueError("Cannot send input after starting communication")
        monotonic = get_hub().monotonic
        deadline = None if timeout is None else monotonic() + timeout
        if self._communication is None:
            self._communication = Communication(self.stdin, (self.stdout, self.stderr), self._encoded(input))
        if not self._communication.run(deadline):
            raise self._expired(timeout)
        try:
            self.wait(None if deadline is None else deadline - monotonic())
        except TimeoutExpired:
            raise self._expired(timeout) from None
        return self._output(self.stdout), self._output(self.stderr)

    def _encoded(self, data: Any) -> Any:
        if data and self.text_mode and self.stdin is not None:
            stdin: Any = self.stdin
            return data.encode(stdin.encoding, stdin.errors)
        return data

    def _output(self, stream: Any) -> Any:
        if stream is None:
            return None
        data = self._bytes_from(stream)
        if not self.text_mode:
            return data
        text = data.decode(stream.encoding, stream.errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _expired(self, timeout: float | None) -> TimeoutExpired:
        stdout = self._bytes_from(self.stdout) or None
        stderr = self._bytes_from(self.stderr) or None
        return TimeoutExpired(self.args, timeout or 0.0, output=stdout, stderr=stderr)

    def _bytes_from(self, stream: Any) -> bytes:
        return b"" if self._communication is None else self._communication.output(stream)


def find_executable(name: Any, environment: Mapping[Any, Any] | None) -> str | None:
    """Return the absolute path of the program `name`, found by the `PATH` of `environment` (None: of this process).

    None when the child has to search for it: `name` is a path already, is found nowhere, or the search comes to a
    directory that depends on the child's working directory.
    """
    # The standard library has the child try `execve` in one directory after the other, while the parent waits.
    if type(name) is not str or not name or "/" in name:
        return None
    # Not os.get_exec_path: with the warnings that it silences it costs more than the search itself.
    search = (os.environ if environment is None else environment).get("PATH")
    if type(search) is not str:
        return None
    for directory in search.split(":"):
        if not directory.startswith("/"):
            return None
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def run(
    *popenargs: Any,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **kwargs: Any,
) -> CompletedProcess[Any]:
    """As `subprocess.run`.

    After `timeout` seconds it kills the child, collects its status and raises `TimeoutExpired`, with what was read so
    far. It does so even if a process that the child has left behind still holds the pipe.
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
    """As `call`, but raise `CalledProcessError` when the status is not 0."""
    status = call(*popenargs, **kwargs)
    if status:
        raise CalledProcessError(status, kwargs.get("args") or popenargs[0])
    return 0


def check_output(*popenargs: Any, timeout: float | None = None, **kwargs: Any) -> Any:
    """As `subprocess.check_output`: return what the child writes to stdout."""
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if "input" in kwargs and kwargs["input"] is None:
        is_text = any(kwargs.get(name) for name in ("text", "universal_newlines", "encoding", "errors"))
        kwargs["input"] = "" if is_text else b""
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **kwargs).stdout


def getstatusoutput(cmd: str | bytes, *, encoding: str | None = None, errors: str | None = None) -> tuple[int, str]:
    """As `subprocess.getstatusoutput`: run `cmd` in a shell. Return its status, and its output less one newline."""
    done = run(cmd, shell=True, text=True, stdout=PIPE, stderr=STDOUT, encoding=encoding, errors=errors)
    output: str = done.stdout
    return done.returncode, output.removesuffix("\n")


def getoutput(cmd: str | bytes, *, encoding: str | None = None, errors: str | None = None) -> str:
    """As `subprocess.getoutput`: the output of a shell command, whatever its status."""
    return getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
