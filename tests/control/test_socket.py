"""The Unix socket: who may connect, which file it is, and what is left by a gcron that was killed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcron.control import places
from gcron.control.client import Client, NoGcron, choose
from gcron.control.places import Running, make_place, running
from gcron.scheduler import Scheduler
from gcron.state.memory import MemoryStore
from tests.waiting import PATIENCE, until

Run = Callable[..., Any]
CRONTAB = "# gcron: name=job\n@manual echo out\n"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture
def daemon(gcron_run: Run, runtime: Path) -> Any:
    started = gcron_run(CRONTAB)
    until(lambda: list(runtime.rglob("instance.json")))  # the last file: all others are as they stay
    return started


@pytest.fixture
def client(daemon: Any, runtime: Path) -> Iterator[Client]:
    (path,) = runtime.rglob("control.sock")
    with Client(str(path)) as client:
        yield client


def ask(path: str, method: str, *words: str) -> Any:
    with Client(path) as client:
        return getattr(client, method)(*words)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def found_in(runtime: Path) -> list[Running]:
    return [one for one in running() if one.socket.startswith(str(runtime))]


# -- the files ---------------------------------------------------------------------------------------------------


def test_only_the_user_can_reach_the_socket(daemon: Any, client: Client, runtime: Path) -> None:
    (path,) = runtime.rglob("control.sock")
    assert mode(path) == 0o600
    assert mode(path.parent) == mode(runtime / "gcron") == 0o700
    assert client.get("instance")["pid"] == daemon.process.pid
    (one,) = found_in(runtime)
    assert (one.pid, one.name) == (daemon.process.pid, path.parent.name)
    assert one.name == client.get("instance")["instance"]


def test_a_clean_end_leaves_nothing(daemon: Any, client: Client, runtime: Path) -> None:
    client.get("instance")
    assert daemon.stop() == 0
    assert list((runtime / "gcron").iterdir()) == []
    with pytest.raises(NoGcron, match=r"broke|no gcron listens"):
        client.get("instance")


def test_the_socket_of_a_killed_gcron_is_replaced(gcron_run: Run, daemon: Any, runtime: Path) -> None:
    (crontab,) = until(lambda: found_crontabs(runtime))
    daemon.send(signal.SIGKILL)
    daemon.wait()
    assert len(list(runtime.rglob("control.sock"))) == 1
    assert found_in(runtime) == [], "nobody holds its lock"
    again = subprocess.Popen([sys.executable, "-m", "gcron", "run", crontab], stdout=subprocess.DEVNULL)
    try:
        (one,) = until(lambda: [one for one in found_in(runtime) if one.pid == again.pid])
        assert ask(one.socket, "get", "instance")["pid"] == again.pid
    finally:
        again.kill()
        again.wait()


def found_crontabs(runtime: Path) -> list[str]:
    return [path for file in runtime.rglob("instance.json") for path in json.loads(file.read_text())["crontabs"]]


def test_a_second_gcron_of_the_same_crontab_runs_without_a_socket(gcron_run: Run, daemon: Any, runtime: Path) -> None:
    """The first one keeps its socket. Another name gives the second one its own."""
    (crontab,) = until(lambda: found_crontabs(runtime))
    text = Path(crontab).read_text()
    second = gcron_run(text, "--state", "memory", "--instance", found_in(runtime)[0].name)
    second.wait_for("no control socket.*another gcron has this socket; --instance NAME")
    third = gcron_run(text, "--instance", "third")
    until(lambda: len(found_in(runtime)) == 2)
    assert {one.pid for one in found_in(runtime)} == {daemon.process.pid, third.process.pid}
    assert second.stop() == 0
    assert ask(found_in(runtime)[0].socket, "get", "jobs")["jobs"][0]["job"] == "job"


def test_a_file_that_is_no_socket_is_not_replaced(gcron_run: Run, runtime: Path) -> None:
    place = runtime / "gcron" / "mine"
    place.mkdir(parents=True, mode=0o700)
    place.parent.chmod(0o700)
    (place / "control.sock").write_text("precious")
    daemon = gcron_run(CRONTAB, "--instance", "mine")
    daemon.wait_for("no control socket.*is no socket, and is not replaced by one")
    assert (place / "control.sock").read_text() == "precious"
    assert daemon.stop() == 0


def test_a_socket_may_be_deeper_than_a_sockets_path_may_be_long(
    gcron_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    daemon = gcron_run(CRONTAB)
    (one,) = until(lambda: found_in(deep))
    assert len(one.socket) > 200
    assert ask(one.socket, "get", "instance")["pid"] == daemon.process.pid
    assert daemon.stop() == 0
    assert list((deep / "gcron").iterdir()) == []


def test_without_that_way_a_long_path_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places.os.path, "isdir", lambda path: False)
    with pytest.raises(OSError, match="longer than a socket's path may be"):
        places.short_address("/" + "x" * 200, 3)


def test_no_control_means_no_socket(gcron_run: Run, runtime: Path) -> None:
    daemon = gcron_run(CRONTAB, "--no-control")
    daemon.wait_for("Ctrl-C stops")
    assert daemon.stop() == 0
    assert list(runtime.iterdir()) == []


def test_a_directory_that_others_can_write_to_is_not_used(runtime: Path, tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    (runtime / "gcron").mkdir()
    (runtime / "gcron").chmod(0o777)
    place = make_place("name", environ)
    try:
        assert not place.startswith(str(runtime)), "the next one is taken"
    finally:
        os.rmdir(place)
    (runtime / "gcron").rmdir()
    (runtime / "gcron").symlink_to(tmp_path)
    place = make_place("name", environ)
    try:
        assert not place.startswith(str(runtime)), "a link may lead anywhere"
    finally:
        os.rmdir(place)


@as_root
def test_a_directory_of_somebody_else_is_not_used(runtime: Path) -> None:
    (runtime / "gcron").mkdir(mode=0o700)
    os.chown(runtime / "gcron", 65534, 65534)
    place = make_place("name", {"XDG_RUNTIME_DIR": str(runtime)})
    try:
        assert not place.startswith(str(runtime))
    finally:
        os.rmdir(place)


# -- who may ask -------------------------------------------------------------------------------------------------


@as_root
def test_another_user_gets_no_answer_even_if_modes_were_changed(client: Client, daemon: Any, runtime: Path) -> None:
    (path,) = runtime.rglob("control.sock")
    for directory in (path.parent, *list(path.parents)[1:-1]):
        directory.chmod(directory.stat().st_mode | 0o711)
    path.chmod(0o666)
    script = (
        "import os, socket, sys; os.setuid(65534); made = socket.socket(socket.AF_UNIX); made.connect(sys.argv[1]);"
        "made.sendall(b'GET /api/v1/jobs HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(made.makefile().read())"
    )
    answer = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=PATIENCE)
    assert answer.stdout.startswith("HTTP/1.1 403"), answer
    assert '"not-allowed"' in answer.stdout
    assert "echo" not in answer.stdout
    assert client.get("jobs")["jobs"][0]["job"] == "job"


@as_root
def test_root_sees_the_gcrons_of_all_users_but_trusts_no_foreign_directory() -> None:
    uid = 54321
    base = Path(f"/tmp/gcron-{uid}")
    place = base / "theirs"
    place.mkdir(parents=True)
    try:
        (place / "instance.json").write_text('{"pid": 5, "since": "2026-01-01T00:00:00Z", "crontabs": ["/c"]}')
        with (place / "control.lock").open("w") as lock, socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place / "control.sock"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            for path in (base, place, *place.iterdir()):
                path.chmod(0o700)
                os.chown(path, uid, uid)
            assert [one.crontabs for one in running() if one.name == "theirs"] == [("/c",)]
            os.chown(base, uid + 1, uid)
            assert [one for one in running() if one.name == "theirs"] == [], "its name says whose it is"
            os.chown(base, uid, uid)
            place.chmod(0o777)
            assert [one for one in running() if one.name == "theirs"] == [], "anybody may have written there"
            place.chmod(0o700)
            for path in place.iterdir():
                os.chown(path, 0, 0)
                assert [one for one in running() if one.name == "theirs"] == [], f"{path.name} is not theirs"
                os.chown(path, uid, uid)
            assert [one.is_own for one in running() if one.name == "theirs"] == [False]
    finally:
        shutil.rmtree(base)


@as_root
@pytest.mark.parametrize("name", ["control.lock", "instance.json"])
@pytest.mark.parametrize("kind", ["pipe", "link", "nonsense"])
def test_root_neither_waits_for_what_another_user_put_there_nor_follows_it(name: str, kind: str) -> None:
    """A user's `mkfifo /tmp/gcron-UID/x/control.lock` let root's `gcron status` hang for ever."""
    uid = 100_000 + os.getpid()  # tests run side by side
    base = Path(f"/tmp/gcron-{uid}")
    place = base / "theirs"
    place.mkdir(parents=True)
    script = "from gcron.control.places import running; print([one.name for one in running()])"
    try:
        with (place / "real.lock").open("w") as lock, socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place / "control.sock"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.link(place / "real.lock", place / "control.lock")
            (place / "instance.json").write_text('{"pid": 5, "since": "now", "crontabs": []}')
            path = place / name
            if kind == "pipe":
                path.unlink()
                os.mkfifo(path)
            elif kind == "link":
                path.rename(place / "elsewhere")
                path.symlink_to("elsewhere")
            else:
                (place / "instance.json").write_text("[" * 60_000 if name == "control.lock" else '{"pid": Infinity}')
            for path in (base, place, *place.iterdir()):
                os.chown(path, uid, uid, follow_symlinks=False)
            for path in (base, place):
                path.chmod(0o700)
            asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
            assert asked.returncode == 0, asked.stderr
            assert "theirs" not in asked.stdout
    finally:
        shutil.rmtree(base)


# -- requests ----------------------------------------------------------------------------------------------------


def test_what_answers_is_loaded_when_the_first_client_connects(runtime: Path, tmp_path: Path) -> None:
    """To load it takes a tenth of a second. No start of gcron pays for that."""
    script = (
        "import sys; from gcron.scheduler import Scheduler; from gcron import sleep;"
        "scheduler = Scheduler(); scheduler.command('true', '@manual', name='job'); scheduler.start();"
        f"scheduler.serve_control('{tmp_path}/sock'); sleep(0.05);"
        "assert 'gcron.wsgi' not in sys.modules and 'gcron.control.api' not in sys.modules; print('up', flush=True);"
        "scheduler.run()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert ask(f"{tmp_path}/sock", "get", "jobs")["jobs"][0]["job"] == "job"
    finally:
        process.kill()
        process.communicate()


def test_a_program_serves_its_scheduler_from_any_thread(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with Scheduler(state=MemoryStore()) as scheduler:
        scheduler.job("@manual", name="answer")(lambda: 42)
        scheduler.start_thread()
        served = scheduler.serve_control(path)
        with Client(str(path)) as client:
            assert client.get("instance")["instance"] == "sock"
            run = client.post("jobs", "answer", "trigger", why="a test")
            assert run["decision"] == "started"
            ended = list(client.stream("runs", run["run_id"], "output", follow=True))[-1]
            assert (ended.kind, ended.data["outcome"]) == ("end", "succeeded")
        with pytest.raises(OSError, match="another gcron has this socket"):
            scheduler.serve_control(path)
        served.stop()
        assert not path.exists()


def test_hostile_bytes_end_nothing(client: Client, daemon: Any, runtime: Path) -> None:
    (path,) = runtime.rglob("control.sock")
    for data in (
        b"\x00" * 1000,
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /api/v1/jobs HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ):
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(PATIENCE)
            made.connect(str(path))
            made.sendall(data)
            answer = made.recv(65536)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    idle = []
    for _ in range(50):
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        idle.append(made)
    assert client.get("instance")["pid"] == daemon.process.pid
    for made in idle:
        made.close()
    assert daemon.stop() == 0


def test_a_reader_that_never_reads_slows_no_job(gcron_run: Run, runtime: Path) -> None:
    daemon = gcron_run("# gcron: name=tick\n@every 1s true\n", "--log-format", "json")
    (one,) = until(lambda: found_in(runtime))
    readers = []
    for _ in range(20):
        made = socket.socket(socket.AF_UNIX)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        made.connect(one.socket)
        made.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        readers.append(made)
    with Client(one.socket) as client:
        for _ in range(200):
            client.post("jobs", "tick", "trigger")
        before = client.get("jobs", "tick")["succeeded"]
        until(lambda: client.get("jobs", "tick")["succeeded"] >= before + 2)
    for made in readers:
        made.close()
    assert daemon.stop() == 0


def test_a_stop_waits_for_no_stream(client: Client, daemon: Any) -> None:
    seen: list[str] = []

    def read() -> None:
        seen.extend(happening.kind for happening in client.stream("events"))

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: seen == ["hello"])
    assert daemon.stop() == 0
    reader.join(PATIENCE)
    assert seen[-1] == "stopped"


# -- which gcron -------------------------------------------------------------------------------------------------

A = Running("a-1", "/run/a/control.sock", 1, "2026-01-01T00:00:00Z", ("/etc/crontab",))
B = Running("b-2", "/run/b/control.sock", 2, "2026-01-01T00:00:00Z", ("/etc/crontab", "/etc/other"))


def test_the_only_gcron_is_meant() -> None:
    assert choose(None, [A]) is A
    assert choose("a-1", [A, B]) is A
    assert choose("/etc/other", [A, B]) is B


@pytest.mark.parametrize(
    ("instance", "found", "text"),
    [
        (None, [], "no gcron of yours runs here; `gcron run crontab` starts one"),
        (None, [A, B], "several gcrons run here; choose one with --instance:\n  a-1  pid 1"),
        ("/etc/crontab", [A, B], "several gcrons run /etc/crontab"),
        ("c-3", [A], "no gcron runs here with the name or the crontab 'c-3'; these run here:\n  a-1"),
        ("../etc", [A], "no gcron runs here"),
        ("a b", [], "no gcron runs here with the name or the crontab 'a b'; `gcron run crontab` starts one"),
    ],
)
def test_otherwise_one_has_to_choose(instance: str | None, found: list[Running], text: str) -> None:
    with pytest.raises(NoGcron) as error:
        choose(instance, found)
    assert text in str(error.value)


def test_a_damaged_instance_file_hides_only_its_gcron(runtime: Path, daemon: Any) -> None:
    (file,) = runtime.rglob("instance.json")
    for text in ("", "{", "[]", '{"pid": "x"}', '{"pid": 1, "since": 1, "crontabs": 5}'):
        file.write_text(text)
        assert found_in(runtime) == []


def test_what_another_user_runs_does_not_take_the_place_of_roots_own() -> None:
    """A user's instance of the same name, or crontab, let root's `--instance` be refused: "several gcrons run i2"."""
    theirs = Running("a-1", "/tmp/gcron-9/a-1/control.sock", 3, "now", ("/etc/other",), is_own=False)
    assert choose("a-1", [theirs, A, B]) is A
    assert choose("/etc/other", [theirs, A, B]) is B
    assert choose(None, [theirs, A]) is A
    assert choose("a-1", [theirs, B]) is theirs
    with pytest.raises(NoGcron, match=r"no gcron of yours .*; choose another user's with --instance:\n  a-1"):
        choose(None, [theirs])


def test_what_another_user_wrote_is_text_in_one_line() -> None:
    """ESC and newlines in a user's instance.json reached root's terminal: a red word, and lines that were forged."""
    theirs = Running("b\x9b", "/s", 3, "2026\x1b[31m\nFORGED", ("/c\u202e\ud800",), is_own=False)
    with pytest.raises(NoGcron) as error:
        choose("c-3", [theirs])
    assert str(error.value).splitlines()[1:] == [r"  b\x9b  pid 3, since 2026\x1b[31m\x0aFORGED: /c\u202e\ud800"]
    with pytest.raises(NoGcron, match=r"^/no\\x1b\\x0a/control.sock: no gcron listens there$"):
        Client("/no\x1b\n/control.sock").get("instance")
