"""The pages behind nginx and Caddy, by the recipes of docs/web.md: links, live streams, and whose request it was."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE, until

DOCS = (Path(__file__).parents[2] / "docs" / "web.md").read_text()
CLIENT = "127.0.0.2"
"""Another address of this machine than the proxy's."""
CRONTAB = "# gcron: name=beat\n@every 1s true\n# gcron: name=job\n@manual true\n"
NGINX = """\
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; server_name example.org; {recipe} }}
}}
"""


def recipe(kind: str, port: int) -> str:
    """The block of the docs, for a gcron at `port`."""
    (block,) = re.findall(rf"```{kind}\n(.*?)```", DOCS.partition("## Behind nginx or Caddy")[2], re.DOTALL)[:1]
    assert "127.0.0.1:9180" in block
    return str(block).replace("127.0.0.1:9180", f"127.0.0.1:{port}")


def nginx(folder: Path, port: int, gcron: int) -> list[str]:
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, recipe=recipe("nginx", gcron)))
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(file)]


def caddy(folder: Path, port: int, gcron: int) -> list[str]:
    """Without TLS, for which a name of this machine would be needed."""
    file = folder / "Caddyfile"
    text = recipe("text", gcron)
    assert text.startswith("example.org {")
    file.write_text(
        "{\n admin off\n}\n" + text.replace("example.org {", f"http://example.org:{port} {{\n bind 127.0.0.1")
    )
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


class Proxied:
    """A gcron behind a proxy."""

    def __init__(self, port: int, secret: str) -> None:
        self._port = port
        self._connections = ExitStack()
        self._headers = {"Host": "example.org", "Authorization": f"Bearer {secret}"}

    def ask(self, path: str, method: str = "GET") -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE, source_address=(CLIENT, 0))
        self._connections.enter_context(closing(connection))
        connection.request(method, path, headers=self._headers)
        return self._connections.enter_context(closing(connection.getresponse()))

    def close(self) -> None:
        self._connections.close()

    def read(self, path: str, method: str = "GET") -> str:
        answer = self.ask(path, method)
        text = answer.read().decode()
        assert answer.status < 300, (answer.status, text)
        return str(text)


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, gcron_run: Callable[..., Any], tmp_path: Path) -> Iterator[Proxied]:
    make: Callable[[Path, int, int], list[str]] = request.param
    if shutil.which(make.__name__) is None:
        pytest.skip(f"{make.__name__} is not installed")
    options = ("--http-prefix", "/cron", "--http-host", "example.org", "--http-proxy", "127.0.0.1")
    daemon = gcron_run(CRONTAB, "--http", "127.0.0.1:0", *options)
    ((gcron, secret),) = daemon.wait_for(r"pages: http://127\.0\.0\.1:(\d+)/cron/\?token=([0-9a-f]+)$")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    home = tmp_path / "proxy"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/bin"}
    with subprocess.Popen(make(home, port, int(gcron)), env=environment, stderr=subprocess.DEVNULL) as process:
        until(lambda: listens(port))
        with closing(Proxied(port, secret)) as made:
            yield made
        process.terminate()


def listens(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_pages_work_behind_a_proxy(proxied: Proxied) -> None:
    page = proxied.read("/cron/")
    places = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert places
    assert all(place.startswith("/cron/") for place in places)
    assert "text/css" in proxied.ask(next(place for place in places if ".css" in place)).headers["Content-Type"]


def test_a_stream_comes_through_a_proxy_while_it_happens(proxied: Proxied) -> None:
    stream = proxied.ask("/cron/api/v1/events")
    until(lambda: b"run-finished" in stream.readline())


def test_the_history_has_the_address_of_the_client_and_not_of_the_proxy(proxied: Proxied) -> None:
    proxied.read("/cron/api/v1/jobs/job/trigger", "POST")
    until(lambda: json.loads(proxied.read("/cron/api/v1/jobs/job/runs"))["runs"])
    (run,) = json.loads(proxied.read("/cron/api/v1/jobs/job/runs"))["runs"]
    assert CLIENT in run["who"]
