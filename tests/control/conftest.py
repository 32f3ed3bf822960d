"""An API over a scheduler of this process, asked without sockets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gcron.control.api import PREFIX, Api
from gcron.control.instance import Instance
from gcron.scheduler import Scheduler
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock


class Answer:
    """What the API answered."""

    def __init__(self, status: str, headers: dict[str, str], pieces: Any) -> None:
        self.status = int(status[:3])
        self.headers = headers
        self.pieces = pieces

    @property
    def body(self) -> bytes:
        self.pieces = [b"".join(self.pieces)]
        return bytes(self.pieces[0])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(self.json["code"])


class Asker:
    """Asks an API, as a server would."""

    def __init__(self, gcron: Instance) -> None:
        self.gcron = gcron
        self.api = Api(gcron, lambda environ: environ.get("who", "ann"))

    def __call__(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, data: bytes = b""
    ) -> Answer:
        path, _, query = f"{PREFIX}{target}".partition("?")
        if body is not None:
            data = json.dumps(body).encode()
        given: list[Any] = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": "application/json" if data else "",
            "wsgi.input": io.BytesIO(data),
            **(headers or {}),
        }
        pieces = self.api(environ, lambda status, headers: given.extend([status, dict(headers)]))
        return Answer(given[0], given[1], pieces)

    def get(self, target: str, **headers: str) -> Answer:
        return self("GET", target, headers=headers)

    def post(self, target: str, **body: Any) -> Answer:
        return self("POST", target, body=body or None)


@pytest.fixture
def api(clock: VirtualClock, make_scheduler: Callable[..., tuple[Scheduler, Any]]) -> Iterator[Asker]:
    """The API of a scheduler in virtual time, not started yet, that remembers in memory."""
    scheduler, _ = make_scheduler("Europe/Berlin", clock=clock, state=MemoryStore(now=clock.now))
    asker = Asker(Instance(scheduler, "test", ("crontab",), since=clock.now(), clock=clock))
    yield asker
    asker.api.close()
