"""The client sends nothing to a socket of another user, and prints one clear line when a wrong answer comes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gcron.control import client as client_module
from gcron.control.client import Client, NoGcron, Refused
from gcron.control.part import _find_twins
from gcron.control.places import Running
from tests.waiting import PATIENCE, until

Gcron = Callable[..., subprocess.CompletedProcess[str]]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
STRANGER = 54321
# Listens as another user, and prints what it was sent.
LISTEN = """if True:
    import os, socket, sys
    made = socket.socket(socket.AF_UNIX)
    made.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o666)
    os.setuid(int(sys.argv[2]))
    made.listen()
    print("listening", flush=True)
    peer, _ = made.accept()
    print(peer.recv(1000), flush=True)
"""


@pytest.fixture
def place(runtime: Path) -> Path:
    runtime.chmod(0o755)
    return runtime / "sock"


@pytest.fixture
def stranger(place: Path) -> Iterator[Any]:
    argv = [sys.executable, "-c", LISTEN, str(place), str(STRANGER)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield process
        process.kill()


@as_root
def test_nothing_is_sent_to_a_socket_of_another_user(place: Path, stranger: Any) -> None:
    """A user who had made the path first got what root's command sent, and could answer as a gcron."""
    with pytest.raises(NoGcron) as error, Client(str(place)) as client:
        client.post("jobs", "backup", "trigger", why="a secret")
    assert str(error.value).endswith(f"the user {STRANGER} listens there, and not root or you: nothing was sent")
    assert stranger.stdout.readline() == "b''\n"


@as_root
def test_root_talks_to_a_gcron_of_the_user_who_owns_its_directory(place: Path, stranger: Any) -> None:
    with pytest.raises(NoGcron, match="broke"), Client(str(place), STRANGER) as client:
        client.get("instance")
    assert "GET /api/v1/instance" in stranger.stdout.readline()


@as_root
def test_another_user_gets_one_line(gcron_run: Callable[..., Any], runtime: Path) -> None:
    gcron_run("@manual true\n", "--instance", "roots")
    until(lambda: list(runtime.rglob("instance.json")))
    (path,) = runtime.rglob("control.sock")
    program = "import os, sys; from gcron.cli.main import main; os.setuid(54321); sys.exit(main(sys.argv[1:]))"
    # What is imported later may be in a directory that this user cannot read.
    argv = [sys.executable, "-c", f"import gcron.cli.status; {program}", "status", "--socket", str(path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert done.stderr == f"gcron: {path}: only its own user and root may talk to this gcron\n"


@pytest.fixture
def answers(place: Path) -> Iterator[Callable[[bytes], str]]:
    """Start a program that answers with given bytes, as gcron would not; return the path of its socket."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(place))
    made.listen()
    made.settimeout(PATIENCE)
    threads = []

    def answer(data: bytes) -> str:
        def serve() -> None:
            peer, _ = made.accept()
            with peer, suppress(OSError):  # the client may have heard enough
                while peer.recv(65536) and data:  # one answer for each request
                    peer.sendall(data)
                    if not data.startswith(b"HTTP") or b"Length: 100\r" in data:
                        return

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return str(place)

    yield answer
    for thread in threads:
        thread.join(PATIENCE)
    made.close()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the connection broke"),
        (b"SSH-2.0-nonsense\r\n", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "the connection broke"),
        (http(b""), "the answer is no JSON"),
        (http(b"<html>"), "the answer is no JSON"),
        (http(b"\xff\xfe\x00"), "the answer is no JSON"),
        (http(b"[" * 100_000), "the answer is no JSON"),
        (http(b"[]"), "the answer is no JSON object"),
        (http(b"5"), "the answer is no JSON object"),
        (http(b"{}"), "an answer has no 'jobs'"),
        (http(b"[]", "404 Not Found"), "404 []"),
        (http(b"<html>\x1b[31m", "500 Oh"), r"500 <html>\x1b[31m"),
    ],
)
def test_a_wrong_answer_is_reported_in_one_line(
    gcron: Gcron, answers: Callable[[bytes], str], data: bytes, text: str
) -> None:
    """A list instead of an object ended in a traceback, and so did a wrong problem document."""
    done = gcron("status", "--socket", answers(data))
    assert done.returncode in (1, 3)
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_endless_answer_is_read_up_to_a_bound(
    answers: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's socket sent without end, and root's `gcron status` took memory until there was none."""
    monkeypatch.setattr(client_module, "_MOST_ANSWER", 1 << 20)
    path = answers(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(2 << 20))
    with Client(path) as client, pytest.raises(NoGcron, match="an answer of more than 1 MiB: that is no gcron"):
        client.get("instance")


def test_an_answer_byte_by_byte_ends_at_a_deadline(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte began the timeout anew, so a byte each 0.2 s held the command for as long as somebody liked."""
    monkeypatch.setattr(client_module, "_TIMEOUT", 0.5)
    over = threading.Event()

    def drip(made: socket.socket) -> None:
        peer, _ = made.accept()
        with peer, suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.05):
                peer.sendall(b" ")

    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))
        made.listen()
        thread = threading.Thread(target=drip, args=(made,))
        thread.start()
        with Client(str(place)) as client, pytest.raises(NoGcron, match="gcron does not answer"):
            client.get("instance")
        over.set()
        thread.join(PATIENCE)


@pytest.mark.realtime
def test_a_stopped_gcron_is_told_soon_and_not_waited_for_long(gcron: Gcron, place: Path) -> None:
    """`gcron status` of a gcron that was stopped by STOP was silent for half a minute."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))
        made.listen()
        done = gcron("status", "--socket", str(place))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        f"gcron: {place}: gcron does not answer; waiting for 10 s at most",
        f"gcron: {place}: gcron does not answer",
    ]


def test_an_event_without_valid_json_ends_a_stream(answers: Callable[[bytes], str]) -> None:
    path = answers(http(b"event: hello\ndata: {}\n\nevent: output\ndata: {{\n\n"))
    with Client(path) as client, pytest.raises(NoGcron, match="no JSON"):
        list(client.stream("events"))


def test_a_problem_document_with_a_wrong_code_raises_refused(answers: Callable[[bytes], str]) -> None:
    with Client(answers(http(b'{"code": 5, "detail": ["x"]}', "409 No"))) as client, pytest.raises(Refused) as error:
        client.get("jobs")
    assert error.value.code == "5"


@pytest.mark.parametrize("kind", ["stale", "file", "directory", "missing", "long"])
def test_a_path_without_a_gcron_is_reported_in_one_line(gcron: Gcron, place: Path, kind: str) -> None:
    if kind == "stale":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))
    elif kind == "file":
        place.write_text("precious")
    elif kind == "directory":
        place.mkdir()
    path = f"/tmp/{'x' * 300}/sock" if kind == "long" else str(place)
    done = gcron("status", "--socket", path)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"gcron: {path}: ")


def test_a_killed_gcron_is_not_found(gcron_run: Callable[..., Any], gcron: Gcron, runtime: Path) -> None:
    daemon = gcron_run("@manual true\n", "--instance", "killed")
    until(lambda: list(runtime.rglob("instance.json")))
    daemon.send(signal.SIGKILL)
    daemon.wait()
    done = gcron("status", "--instance", "killed")
    assert done.returncode == 3
    assert "no gcron runs here with the name or the crontab 'killed'" in done.stderr


def test_the_instance_file_of_another_user_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any user could write a file that let root's gcron log that its jobs run twice."""
    own = Running("own", "/s", 1, "now", ("/etc/crontab",))
    theirs = Running("theirs", "/t", 2, "now", ("/etc/crontab",), is_own=False, owner=STRANGER)
    monkeypatch.setattr("gcron.control.places.running", lambda: [theirs, own])
    (line,) = _find_twins(["/etc/crontab"])
    assert line.startswith("the gcron own (process 1")


def test_without_a_usable_directory_the_error_lists_those_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gcron.control import places

    file, shared = tmp_path / "file", tmp_path / "shared"
    file.write_text("")
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(places, "_directories", lambda environ, uid: [str(file), str(shared)])
    with pytest.raises(OSError, match="there is no directory for the control socket") as error:
        places.make_place("name")
    assert str(error.value).endswith(f"{file}: is no directory; {shared}: others may write there")
