"""`gcron notify`: a test message, and what came back."""

from __future__ import annotations

import json
import re
import socket
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
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "/wrong" in self.path:
                self.send_response(404)
                self.end_headers()
                self.wfile.write(f"Cannot POST {self.path}".encode() if "S3CRET" in self.path else b"")
                return
            got.append(json.loads(body) if self.headers["Content-Type"] == "application/json" else self.path)
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            got.append(self.path)
            self.send_response(204)
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


@pytest.mark.parametrize(("style", "warns"), [("healthchecks", False), ("uptime-kuma", True), ("plain", True)])
def test_a_test_that_ends_an_alarm_says_so(
    gcron: Gcron, write: Callable[..., str], peer: tuple[str, list[Any]], style: str, warns: bool
) -> None:
    """Somebody tried `gcron notify` while a backup was overdue, and the service took it for the backup's success."""
    url, got = peer
    result = gcron("notify", write(f"# gcron-notify: hc ping={url}/UUID ping-style={style}\n"), "hc")

    assert result.returncode == 0
    assert (got == ["/UUID/log"]) == (not warns)
    said = f"hc: warning: {style} has no call for a test. This was a success, which ends an alarm there"
    assert (said in result.stderr) == warns


def test_a_failure_says_what_came_back_and_no_secret(
    gcron: Gcron, write: Callable[..., str], peer: tuple[str, list[Any]]
) -> None:
    url, _ = peer
    result = gcron("notify", write(f"# gcron-notify: hook url={url}/SECRET/wrong\n"), "hook")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"gcron: hook ({url}): not delivered: status 404\n"


def test_each_failure_is_one_line_without_the_secret(
    gcron: Gcron, write: Callable[..., str], tmp_path: Path, peer: tuple[str, list[Any]]
) -> None:
    """Passwords in the URL, in its file, in the key's file, and in the mailer's file; and what fails in each kind."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    files = {
        "url": f"http://me:S3CRET@{nobody}/S3CRET?key=S3CRET",
        "two": "S3CRET\nS3CRET\n",
        "key": "whsec_S3CRET!",
        "password": "S3CR\xc9T",
        "wrong.j2": "{{ S3CRET.S3CRET }}",
        "body.j2": "{% if %}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "sendmail").write_text("#!/bin/sh\necho no such user; exit 67\n")
    (tmp_path / "sendmail").chmod(0o755)
    url, _ = peer
    targets = {
        "refused": f"url=http://me:S3CRET@{nobody}/S3CRET?key=S3CRET",
        "in-file": f"url-file={tmp_path}/url",
        "no-secret": f"url-file={tmp_path}/two",
        "bad-key": f"url={url} secret-file={tmp_path}/key",
        "bad-template": f"url={url} body-file={tmp_path}/body.j2",
        "pinged": f"ping=http://{nobody}/S3CRET",
        "status": f"ping={url}/S3CRET/wrong",
        "unknown": "url=nosuchservice://S3CRET/S3CRET",
        "apprise": f"url=json://me:S3CRET@{nobody}/S3CRET",
        "mail": "url=mailto:ops@example.com",
    }
    path = write("".join(f"# gcron-notify: {name} {options}\n" for name, options in targets.items()))
    said = {}
    for name in targets:
        result = gcron("notify", f"--mailer={tmp_path}/sendmail", path, name)
        assert (result.returncode, result.stdout) == (1, "")
        said[name] = result.stderr
    smtp = f"--mailer=smtp://gcron@{nobody}?password-file={tmp_path}/password"
    said["smtp"] = gcron("notify", smtp, path, "mail").stderr

    assert "S3CR" not in "".join(said.values())
    for name, line in said.items():
        target = "mail" if name == "smtp" else name
        assert re.fullmatch(rf"gcron: {target} \(.*\): not delivered: .+\n", line), line
    assert said["refused"].endswith(f"refused (http://{nobody}): not delivered: no connection: Connection refused\n")
    assert said["no-secret"].endswith("two holds no secret: one line is expected\n")
    assert said["bad-key"].endswith("the key in secret-file begins with whsec_, and is no base64 after it\n")
    assert "exit status 67: no such user" in said["mail"]


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
