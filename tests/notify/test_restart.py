"""Messages that a gcron did not deliver before it was killed: the next one does. Real processes, a real HTTP peer."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gcron import Scheduler
from gcron.scheduler.door import StoreDoor
from gcron.scheduler.messages import KeptMessage
from tests.waiting import PATIENCE, until

Run = Callable[..., Any]


class Peer:
    """An HTTP server on one port that can begin to answer, and end."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self._server: ThreadingHTTPServer | None = None
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def answer(self, status: int = 200) -> None:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if status == 200:
                    peer.received.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.end()


def kept(state: Path) -> list[tuple[str, str]]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(state / "history.db")) as connection:
        return list(connection.execute("SELECT target, text FROM message"))
    return []


def ended(state: Path) -> list[str]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(state / "history.db")) as connection:
        return [outcome for (outcome,) in connection.execute("SELECT outcome FROM run WHERE outcome <> ''")]
    return []


def crontab(peer: Peer, schedule: str) -> str:
    return f"# gcron-notify: ops url={peer.url} on=failure\n# gcron: name=job notify=ops\n{schedule} exit 3\n"


def kill_with_a_message(gcron_run: Run, peer: Peer, state: Path) -> None:
    """Run gcron until a message that nobody takes is on disk, and kill it."""
    gcron = gcron_run(crontab(peer, "@reboot"), "--state", str(state))
    until(lambda: kept(state))
    gcron.send(signal.SIGKILL)
    gcron.wait()


def test_a_message_whose_peer_was_down_is_sent_after_a_kill(gcron_run: Run, tmp_path: Path, peer: Peer) -> None:
    state = tmp_path / "state"
    first = gcron_run(crontab(peer, "@reboot"), "--state", str(state))
    first.wait_for("job +failed: exit status 3")
    until(lambda: kept(state))
    first.send(signal.SIGKILL)
    first.wait()
    assert peer.received == []
    peer.answer()
    second = gcron_run(crontab(peer, "@manual"), "--state", str(state))
    until(lambda: peer.received)
    until(lambda: not kept(state))
    assert second.stop() == 0
    assert [(message["job"], message["kind"]) for message in peer.received] == [("job", "failure")]
    assert "given up" not in second.log
    third = gcron_run(crontab(peer, "@manual"), "--state", str(state))
    third.wait_for("1 job from")
    assert third.stop() == 0
    assert len(peer.received) == 1, "it is sent once"


def test_a_kill_as_soon_as_the_end_of_a_run_is_on_disk_loses_no_message(
    gcron_run: Run, tmp_path: Path, peer: Peer
) -> None:
    """Both are written in one transaction: what has an end has its message."""
    state = tmp_path / "state"
    first = gcron_run(crontab(peer, "@reboot"), "--state", str(state))
    until(lambda: ended(state))
    first.send(signal.SIGKILL)
    first.wait()
    assert [target for target, _ in kept(state)] == ["ops"]


def test_messages_that_nobody_asks_for_any_more_are_given_up_with_one_line(
    gcron_run: Run, tmp_path: Path, peer: Peer
) -> None:
    state = tmp_path / "state"
    kill_with_a_message(gcron_run, peer, state)
    second = gcron_run("# gcron: name=job\n@manual true\n", "--state", str(state))
    second.wait_for("notify ops: given up: 1: there is no such target any more")
    until(lambda: not kept(state))
    assert second.stop() == 0


def test_a_message_is_given_up_after_notify_keep(gcron_run: Run, tmp_path: Path, peer: Peer) -> None:
    state = tmp_path / "state"
    kill_with_a_message(gcron_run, peer, state)
    second = gcron_run(crontab(peer, "@manual"), "--state", str(state), "--notify-keep", "0s")
    second.wait_for(r"notify ops \(http://127.0.0.1:.*\): given up: 1: gcron did not run for so long")
    until(lambda: not kept(state))
    assert second.stop() == 0


def test_a_program_sends_them_after_a_restart_too(tmp_path: Path, peer: Peer) -> None:
    def program() -> Scheduler:
        scheduler = Scheduler(state=tmp_path, logger=None)
        scheduler.command("exit 3", "@manual", name="job")
        scheduler.notify(peer.url, on="failure", name="ops")
        scheduler.notify(peer.url, on="failure")
        scheduler.start_thread()
        return scheduler

    first = program()
    first.trigger("job").result.get(timeout=PATIENCE)
    first.stop()
    (waiting,) = first.message_counts
    assert (waiting.sent, waiting.waiting) == (0, 1)
    assert len(kept(tmp_path)) == 1
    peer.answer()
    second = program()
    until(lambda: peer.received)
    until(lambda: not kept(tmp_path))
    assert [counts.sent for counts in second.message_counts] == [1]
    second.stop()
    assert len(peer.received) == 1


def test_a_program_tells_once_what_fails_while_it_lists_old_messages(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that failed in the first moments was told twice, with one message id: it was on disk before the look."""
    ask = StoreDoor.list_messages

    def ask_after_the_failure(door: StoreDoor, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        until(lambda: len(kept(tmp_path)) == messages)
        return ask(door, after)

    def program() -> Scheduler:
        scheduler = Scheduler(state=tmp_path, logger=None)
        scheduler.command("exit 3", "@manual", name="job", notify_again=0)
        scheduler.notify(peer.url, on="failure", name="ops")
        scheduler.notify(peer.url, on="failure")
        scheduler.start_thread()
        return scheduler

    messages = 0
    monkeypatch.setattr(StoreDoor, "list_messages", ask_after_the_failure)
    first = program()
    first.trigger("job").result.get(timeout=PATIENCE)
    first.stop()
    messages = 2
    second = program()
    second.trigger("job").result.get(timeout=PATIENCE)
    until(lambda: second.message_counts and second.message_counts[0].waiting >= 2)
    peer.answer()
    second.stop()  # it tries once more to deliver what waits
    assert not kept(tmp_path)
    ids = [message["message_id"] for message in peer.received]
    assert (len(ids), len(set(ids))) == (2, 2)
