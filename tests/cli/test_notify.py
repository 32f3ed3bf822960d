"""`gcron notify`: a test message, and what came back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Gcron


@pytest.fixture
def peer() -> Iterator[tuple[str, list[Any]]]:
    """A server in a thread, since the command is another process: its URL, and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(404 if self.path == "/SECRET/wrong" else 204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_test_message_is_sent(gcron: Gcron, write: Callable[..., str], peer: tuple[str, list[Any]]) -> None:
    url, got = peer
    result = gcron("notify", write(f"# gcron-notify: hook url={url}/SECRET\n"), "hook")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"hook ({url}): status 204 after ")
    assert (got[0]["event"], got[0]["target"], got[0]["title"]) == ("test", "hook", "gcron: this is a test")


def test_a_failure_says_what_came_back_and_no_secret(
    gcron: Gcron, write: Callable[..., str], peer: tuple[str, list[Any]]
) -> None:
    url, _ = peer
    result = gcron("notify", write(f"# gcron-notify: hook url={url}/SECRET/wrong\n"), "hook")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"gcron: hook ({url}): not delivered: status 404\n"


def test_an_address_gets_a_mail(gcron: Gcron, write: Callable[..., str], tmp_path: Path) -> None:
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/mail\n")
    program.chmod(0o755)
    result = gcron("notify", f"--mailer={program}", write("MAILTO=ops@example.com\n@daily x\n"), "ops@example.com")

    assert result.returncode == 0, result.stderr
    assert "To: ops@example.com" in (tmp_path / "mail").read_text()
    assert "this is a test" in (tmp_path / "mail").read_text()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("@daily x\n", "gcron: there is no target named 'ops': the file has no line # gcron-notify: ops url=…\n"),
        (
            "# gcron-notify: opps url=mailto:a@b.example\n",
            "gcron: there is no target named 'ops' (did you mean opps?)\n",
        ),
        ("# gcron-notify: ops\n", "the target ops has no URL"),
        ("# gcron-notify: ops url-file=nowhere\n", "nowhere cannot be read: no such file or directory"),
        ("# gcron-notify: ops url=https://a.example/${NO_SUCH}\n", "gcron's environment has no variable NO_SUCH"),
    ],
)
def test_what_is_wrong_is_said(gcron: Gcron, write: Callable[..., str], text: str, error: str) -> None:
    result = gcron("notify", write(text), "ops")

    assert result.returncode == 1
    assert error in result.stderr


def test_a_wrong_mailer_is_an_error_of_the_command_line(gcron: Gcron, write: Callable[..., str]) -> None:
    result = gcron("notify", "--mailer=smtp://me:pass@a.example", write("@daily x\n"), "ops")

    assert result.returncode == 2
    assert "a password is not given on the command line" in result.stderr
