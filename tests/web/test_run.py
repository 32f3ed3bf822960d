"""`gcron run --http` as a process: where it listens, what the log shows, `gcron token`."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from gcron.web.address import read_address
from gcron.web.errors import HttpError
from gcron.web.token import keep_token, read_token_file
from tests.measuring import unmeasured
from tests.waiting import PATIENCE, until

Run = Callable[..., Any]
CRONTAB = "# gcron: name=job\n@manual echo out\n"


def port_of(daemon: Any) -> int:
    return int(daemon.wait_for(r"pages: http://127\.0\.0\.1:(\d+)/")[0])


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def token(crontab: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `gcron token` for the gcron of this crontab: others may run here, too."""
    command = [sys.executable, "-m", "gcron", "token", "--instance", str(crontab), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_the_log_shows_a_link_and_token_prints_it_again(gcron_run: Run, runtime: Path, tmp_path: Path) -> None:
    daemon = gcron_run(CRONTAB, "--http", "127.0.0.1:0")
    (link,) = daemon.wait_for(r"pages: (http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48})$")
    port = port_of(daemon)
    secret = link.partition("=")[2]
    until(lambda: list(runtime.rglob("http.json")))
    assert token(tmp_path / "crontab0").stdout == f"{link}\n"
    assert token(tmp_path / "crontab0", "--bare").stdout == f"{secret}\n"
    assert ask(port, "/healthz") == (200, "ok\n")
    assert ask(port, "/api/v1/jobs")[0] == 401
    assert ask(port, "/api/v1/jobs", Authorization=f"Bearer {secret}")[0] == 200
    (file,) = tmp_path.rglob("http-token")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{secret}\n"
    assert daemon.stop() == 0
    assert not list(runtime.rglob("http.json"))
    done = token(tmp_path / "crontab0")
    assert (done.returncode, done.stdout) == (3, "")


def test_the_token_outlives_a_restart_and_sessions_with_it(gcron_run: Run, tmp_path: Path) -> None:
    links = []
    for _ in range(2):
        daemon = gcron_run(CRONTAB, "--http", "127.0.0.1:0", "--state", str(tmp_path / "state"))
        links += daemon.wait_for(r"token=([0-9a-f]+)$")
        daemon.stop()
    assert links[0] == links[1]


def test_a_port_that_is_taken_refuses_the_start_with_one_line(gcron_run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        daemon = gcron_run("@reboot echo ran\n", "--http", f"127.0.0.1:{port}")
        assert daemon.wait() == 1
    (line,) = daemon.errors.splitlines()
    assert re.fullmatch(
        rf"gcron: not started: --http 127\.0\.0\.1:{port}: another program has this port .*; choose another.*", line
    )
    assert "ran" not in daemon.log


def test_a_gcron_that_serves_no_pages_has_no_link(gcron_run: Run, runtime: Path, tmp_path: Path) -> None:
    daemon = gcron_run(CRONTAB)
    until(lambda: list(runtime.rglob("control.sock")))
    done = token(tmp_path / "crontab0")
    assert done.returncode == 1
    assert "serves no pages; `gcron run --http 127.0.0.1:9180` does" in done.stderr
    daemon.stop()


def test_ones_own_token_is_not_in_the_log(gcron_run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("  a-token-of-my-own\n")
    daemon = gcron_run(CRONTAB, "--http", "127.0.0.1:0", "--http-token-file", str(tmp_path / "mine"))
    port = port_of(daemon)
    assert ask(port, "/api/v1/jobs", Authorization="Bearer a-token-of-my-own")[0] == 200
    daemon.stop()
    assert "a-token-of-my-own" not in daemon.log + daemon.errors


@pytest.mark.parametrize(
    ("text", "said"),
    [("short\n", "16 or more"), ("", "16 or more"), ("two words in a line\n", "no blanks"), ("ü" * 20, "ASCII")],
)
def test_a_token_that_can_be_guessed_refuses_the_start(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine").write_text(text)
    with pytest.raises(HttpError, match=said):
        read_token_file(str(tmp_path / "mine"))


def test_a_token_file_that_is_not_there_refuses_the_start(tmp_path: Path, gcron_run: Run) -> None:
    daemon = gcron_run(CRONTAB, "--http", "127.0.0.1:0", "--http-token-file", str(tmp_path / "none"))
    assert daemon.wait() == 1
    assert "none: No such file" in daemon.errors


def test_a_kept_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    kept = keep_token(str(tmp_path))
    assert keep_token(str(tmp_path)) == kept
    (tmp_path / "http-token").chmod(0o644)
    with pytest.raises(HttpError, match="not only yours"):
        keep_token(str(tmp_path))


def test_a_link_in_the_place_of_the_token_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "else").write_text("x" * 48)
    (tmp_path / "http-token").symlink_to(tmp_path / "else")
    with pytest.raises(HttpError, match="cannot be read"):
        keep_token(str(tmp_path))


def test_a_unix_socket_serves_and_is_removed_at_the_end(gcron_run: Run, runtime: Path) -> None:
    path = runtime / "http.sock"
    daemon = gcron_run(CRONTAB, "--http", f"unix:{path}")
    daemon.wait_for("pages on unix:.* behind a proxy")
    done = subprocess.run(
        ["curl", "-s", "--unix-socket", str(path), "http://localhost/healthz"],
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.stdout == b"ok\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    daemon.stop()
    assert not path.exists()


def test_a_variable_sets_the_address(gcron_run: Run) -> None:
    environment = {**os.environ, "GCRON_HTTP": "127.0.0.1:0", "GCRON_HTTP_ANONYMOUS": "read"}
    daemon = gcron_run(CRONTAB, env=environment)
    assert ask(port_of(daemon), "/api/v1/jobs")[0] == 200


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9180", "127.0.0.1", 9180),
        ("9180", "127.0.0.1", 9180),
        ("[::1]:9180", "::1", 9180),
        ("cron.example.org:80", "cron.example.org", 80),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    address = read_address(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize("text", ["", ":9180", "::1:9180", "localhost", "a:99999", "unix:", "a:-1", "http://a:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|unix"):
        read_address(text)


def test_nothing_of_the_pages_is_loaded_before_the_first_job_but_what_listens(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text("# gcron: name=first\n@reboot kill $PPID\n")
    words = ["--split-logs", "--no-watch", "--state", "history", "--http", "127.0.0.1:0", "crontab"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gcron", "run", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=unmeasured(),
    )
    before, started, _ = done.stderr.partition(" started (pid ")
    assert started
    imported = set(re.findall(r"^import time: .*\| +(\S+)$", before, re.MULTILINE))
    assert "gcron.web.part" in imported
    slow = {"jinja2", "markupsafe", "gcron.wsgi", "gcron.control.api", "prometheus_client", "sqlite3"}
    assert imported & slow == set()


def test_events_show_what_happened_before_anybody_looked(gcron_run: Run) -> None:
    """What serves the pages is loaded for the first client, and events were noted only from then on."""
    daemon = gcron_run("# gcron: name=first\n@reboot true\n", "--http", "127.0.0.1:0", "--http-anonymous", "read")
    daemon.wait_for(r"first +succeeded")
    status, text = ask(port_of(daemon), "/events", Accept="text/html")
    assert status == 200
    assert "run started" in text
    assert "run finished" in text
