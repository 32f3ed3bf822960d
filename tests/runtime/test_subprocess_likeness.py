"""`gcron.subprocess` and the standard library's: the same code has the same outcome with both."""

from __future__ import annotations

import io
import os
import signal
import subprocess as stdlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gcron.runtime.subprocess as ours

pytestmark = pytest.mark.usefixtures("told_by", "no_descriptor_leaks")

PIPE, STDOUT, DEVNULL = ours.PIPE, ours.STDOUT, ours.DEVNULL
PRINT_FDS = [sys.executable, "-c", "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')))"]

Body = Callable[[ModuleType], Any]


def outcome(body: Body, module: ModuleType) -> Any:
    """Return its result, or the type and text of its error."""
    try:
        return body(module)
    except Exception as error:
        return type(error), str(error)


def communicated(*args: Any, input: Any = None, **kwargs: Any) -> Body:
    def body(module: ModuleType) -> Any:
        with module.Popen(*args, **kwargs) as process:
            return *process.communicate(input), process.returncode

    return body


def ran(*args: Any, **kwargs: Any) -> Body:
    def body(module: ModuleType) -> Any:
        done = module.run(*args, **kwargs)
        return done.args, done.returncode, done.stdout, done.stderr

    return body


def called(name: str, *args: Any, **kwargs: Any) -> Body:
    return lambda module: getattr(module, name)(*args, **kwargs)


BODIES = {
    "a list": ran(["echo", "a"], stdout=PIPE),
    "a shell command": ran("echo $0 b; exit 3", shell=True, stdout=PIPE),
    "bytes and paths": ran([b"echo", Path("p")], stdout=PIPE),
    "another executable": ran(["name", "-c", "echo $0"], executable="/bin/sh", stdout=PIPE),
    "a working directory": ran(["pwd"], cwd="/", stdout=PIPE),
    "no such directory": ran(["pwd"], cwd="/nowhere"),
    "no such command": ran(["no-such-command"]),
    "a file that is no program": ran(["/etc/passwd"]),
    "no arguments": ran([]),
    "an environment": ran("echo $A", shell=True, env={"A": "1"}, stdout=PIPE),
    "a bad environment": ran(["true"], env={"A=B": "1"}),
    "stderr into stdout": ran("echo a; echo b >&2", shell=True, stdout=PIPE, stderr=STDOUT),
    "devnull": ran("cat; echo a", shell=True, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL),
    "captured": ran("echo a; echo b >&2", shell=True, capture_output=True),
    "captured and given": ran(["true"], capture_output=True, stdout=PIPE),
    "input and stdin": ran(["true"], input=b"", stdin=PIPE),
    "checked": ran("echo a; exit 2", shell=True, check=True, stdout=PIPE),
    "checked, by a signal": ran("kill -9 $$", shell=True, check=True),
    "a umask": ran("umask", shell=True, umask=0o027, stdout=PIPE),
    "a new session": ran("test $(ps -o sid= -p $$) = $$", shell=True, start_new_session=True),
    "a process group": ran("test $(ps -o pgid= -p $$) = $$", shell=True, process_group=0),
    "an unknown user": ran(["true"], user="no-such-user"),
    "a negative user": ran(["true"], user=-1),
    "a user of the wrong type": ran(["true"], user=1.5),
    "an unknown group": ran(["true"], group="no-such-group"),
    "groups as a string": ran(["true"], extra_groups="a"),
    "a bufsize of the wrong type": ran(["true"], bufsize="1"),
    "a pipesize of the wrong type": ran(["true"], pipesize="1"),
    "an argument of Windows": ran(["true"], creationflags=1),
    "an unknown argument": lambda module: type(outcome(called("Popen", ["true"], nonsense=1), module)),
    "text and not text": ran(["true"], text=True, universal_newlines=False),
    "text": ran("printf 'a\\r\\nb\\rc'", shell=True, text=True, stdout=PIPE),
    "an encoding": ran(["cat"], input="hé", encoding="latin-1", stdout=PIPE),
    "errors of decoding": ran("printf '\\377'", shell=True, encoding="utf-8", errors="replace", stdout=PIPE),
    "undecodable": ran("printf '\\377'", shell=True, encoding="utf-8", stdout=PIPE),
    "the descriptors of a child": ran(PRINT_FDS, stdout=PIPE),
    "a pipe of another size": communicated(["cat"], stdin=PIPE, stdout=PIPE, pipesize=4096, input=b"x" * 100_000),
    "empty input": communicated(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE, input=b""),
    "input of a memoryview": communicated(["cat"], stdin=PIPE, stdout=PIPE, input=memoryview(b"abc")),
    "a megabyte of input": communicated(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE, input=b"x" * (1 << 20)),
    "input nobody reads": communicated(["true"], stdin=PIPE, stdout=PIPE, stderr=PIPE, input=b"x" * (1 << 20)),
    "no pipes at all": communicated(["true"]),
    "call": called("call", "exit 4", shell=True),
    "check_call": called("check_call", ["false"]),
    "check_output": called("check_output", ["echo", "a"]),
    "check_output, no input": called("check_output", ["cat"], input=None),
    "check_output, no text input": called("check_output", ["cat"], input=None, text=True),
    "check_output and stdout": called("check_output", ["true"], stdout=None),
    "check_output and check": called("check_output", ["true"], check=False),
    "getoutput": called("getoutput", "echo a; echo b >&2; exit 1"),
    "getstatusoutput": called("getstatusoutput", "printf 'a\\n\\n'; exit 7"),
    "getstatusoutput, by a signal": called("getstatusoutput", "kill -15 $$"),
    "getoutput, encoded": called("getoutput", "printf '\\351'", encoding="latin-1"),
    "list2cmdline": called("list2cmdline", ["a b", 'c"d', ""]),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_outcome_is_the_standard_librarys(body: Body) -> None:
    assert outcome(body, ours) == outcome(body, stdlib)


@pytest.mark.parametrize("data", ["text", 3, ["list"]])
def test_input_of_the_wrong_type_is_the_standard_librarys_error(data: Any) -> None:
    for module in (ours, stdlib):
        with pytest.raises(TypeError):
            module.run(["cat"], input=data, capture_output=True)


def test_text_input_must_be_text() -> None:
    for module in (ours, stdlib):
        with pytest.raises((TypeError, AttributeError)):
            module.run(["cat"], input=b"bytes", text=True, capture_output=True)


def test_descriptors_are_passed() -> None:
    read, write = os.pipe()
    try:
        for module in (ours, stdlib):
            code = f"import os; os.write({write}, b'said')"
            module.run([sys.executable, "-c", code], pass_fds=[write], check=True)
            assert os.read(read, 100) == b"said"
    finally:
        os.close(read)
        os.close(write)


def read_as_text(stdout: Any) -> str:
    with io.TextIOWrapper(stdout) as text:
        return text.read()


@pytest.mark.parametrize("bufsize", [-1, 0, 1, 7, 65536])
@pytest.mark.filterwarnings("ignore:line buffering")
def test_every_idiom_of_reading(bufsize: int) -> None:
    def idioms(module: ModuleType) -> list[Any]:
        read: list[Callable[[Any], Any]] = [
            lambda stdout: stdout.read(),
            lambda stdout: [stdout.read(3), stdout.read()],
            lambda stdout: list(stdout),
            lambda stdout: [stdout.readline(), stdout.readline(4), stdout.readlines()],
            lambda stdout: [next(stdout), next(stdout)],
            lambda stdout: stdout.readinto(bytearray(2)),
            lambda stdout: b"".join(iter(lambda: stdout.read(2), b"")),
            read_as_text,
        ]
        results = []
        for idiom in read:
            with module.Popen("printf 'one\\ntwo\\nthree'", shell=True, stdout=PIPE, bufsize=bufsize) as process:
                results.append(idiom(process.stdout))
        return results

    assert idioms(ours) == idioms(stdlib)


def test_text_is_read_line_by_line_and_written_through() -> None:
    for module in (ours, stdlib):
        with module.Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
            process.stdin.write("one\n")
            assert process.stdout.readline() == "one\n"
            assert process.stdin.line_buffering
            process.stdin.close()
            assert process.stdout.read() == ""


def test_writing_to_an_ended_child_is_a_broken_pipe_and_its_status_is_collected() -> None:
    for module in (ours, stdlib):
        process = module.Popen(["true"], stdin=PIPE)
        process.wait()
        with pytest.raises(BrokenPipeError), process:
            process.stdin.write(b"x")
        assert process.stdin.closed
        assert process.returncode == 0


def test_bufsize_is_the_size_of_the_write_buffer() -> None:
    """Regression: the buffer had 8 KiB for every `bufsize`. A write that should fit in it failed at once."""
    for module in (ours, stdlib):
        process = module.Popen(["true"], stdin=PIPE, bufsize=1 << 20)
        process.wait()
        process.stdin.write(b"x" * 500_000)
        with pytest.raises(BrokenPipeError):
            process.stdin.close()


def test_a_timeout_carries_what_was_read_as_bytes() -> None:
    for module in (ours, stdlib):
        with pytest.raises(module.TimeoutExpired) as caught:
            module.run("echo a; echo b >&2; exec sleep 10", shell=True, capture_output=True, text=True, timeout=0.3)
        error = caught.value
        assert (error.output, error.stdout, error.stderr, error.timeout) == (b"a\n", b"a\n", b"b\n", 0.3)


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_timeouts_of_wait_and_communicate_are_kept(timeout: float) -> None:
    for module in (ours, stdlib):
        with module.Popen(["sleep", "10"]) as process:
            with pytest.raises(module.TimeoutExpired) as caught:
                process.wait(timeout)
            assert caught.value.cmd == ["sleep", "10"]
            assert caught.value.timeout == timeout
            process.terminate()
            assert process.wait(10) == -signal.SIGTERM
            assert process.wait(0) == process.poll() == -signal.SIGTERM


def test_input_may_be_sent_once() -> None:
    for module in (ours, stdlib):
        with module.Popen(["sleep", "0.1"], stdin=PIPE, stdout=PIPE) as process:
            with pytest.raises(module.TimeoutExpired):
                process.communicate(b"x", timeout=0.01)
            with pytest.raises(ValueError, match="Cannot send input after starting communication"):
                process.communicate(b"y")
            assert process.communicate()[0] == b""


def test_input_interrupted_by_a_timeout_is_sent_completely() -> None:
    """CPython 3.11 itself forgets the rest of the input, and waits for ever."""
    data = os.urandom(300_000)
    with ours.Popen("sleep 0.2; cat", shell=True, stdin=PIPE, stdout=PIPE) as process:
        with pytest.raises(ours.TimeoutExpired):
            process.communicate(data, timeout=0.05)
        assert process.communicate()[0] == data


def test_repr_of_a_process() -> None:
    for module in (ours, stdlib):
        with module.Popen(["true"], text=True) as process:
            assert repr(process) == "<Popen: returncode: None args: ['true']>"
            assert (process.args, process.text_mode, process.universal_newlines) == (["true"], True, True)
        assert repr(process) == "<Popen: returncode: 0 args: ['true']>"


def test_what_is_exported() -> None:
    assert set(ours.__all__) == set(stdlib.__all__) | {"list2cmdline", "UNKNOWN_STATUS"}
    for name in ("PIPE", "STDOUT", "DEVNULL", "CalledProcessError", "TimeoutExpired", "SubprocessError"):
        assert getattr(ours, name) is getattr(stdlib, name)
