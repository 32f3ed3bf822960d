"""The pages of a scheduler of this process, asked without sockets."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

import pytest

from gcron.control.instance import Instance
from gcron.notify.counts import Counts, TargetFacts
from gcron.notify.recent import Recent
from gcron.scheduler import Scheduler
from gcron.state.memory import MemoryStore
from gcron.testing import VirtualClock
from gcron.web.access import Access
from gcron.web.address import Address
from gcron.web.application import Application
from gcron.web.happened import Happened
from gcron.web.metrics import Metrics
from gcron.web.settings import HttpSettings
from gcron.web.tally import MetricsTally

TOKEN = "a-token-of-the-tests"
HOST = "127.0.0.1:9180"
BROWSER = {"HTTP_ACCEPT": "text/html"}
OWN = {"HTTP_ORIGIN": f"http://{HOST}", "HTTP_SEC_FETCH_SITE": "same-origin"}


class Answer:
    """What the pages answered."""

    def __init__(self, status: str, headers: list[tuple[str, str]], pieces: Any) -> None:
        self.status = int(status[:3])
        self.all_headers = headers
        self.headers = dict(headers)
        self.pieces = pieces

    @property
    def body(self) -> bytes:
        self.pieces = [b"".join(self.pieces)]
        body = bytes(self.pieces[0])
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def place(self) -> str:
        return self.headers["Location"]

    def cookie(self) -> str:
        """The session that it sets."""
        (value,) = [value for name, value in self.all_headers if name == "Set-Cookie"]
        return value.partition(";")[0]


class Site:
    """Asks the pages, as a server would. `cookie`: of the session; empty: a stranger."""

    def __init__(self, gcron: Instance, settings: HttpSettings, address: Address) -> None:
        self.gcron = gcron
        self.access = Access(TOKEN, gcron.clock.now, gcron.clock.monotonic)
        metrics = Metrics(gcron, MetricsTally(gcron.scheduler), lambda: 7)
        happened = Happened(gcron.scheduler)
        self.application = Application(gcron, settings, self.access, address, metrics, happened, 5)
        self.cookie = ""

    def __call__(self, method: str, target: str, data: bytes = b"", **environ: Any) -> Answer:
        path, _, query = target.partition("?")
        given: list[Any] = []
        full = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": HOST,
            "HTTP_COOKIE": self.cookie,
            "wsgi.input": io.BytesIO(data),
            **environ,
        }
        pieces = self.application(full, lambda status, headers: given.extend([status, headers]))
        return Answer(given[0], given[1], pieces)

    def get(self, target: str, **environ: Any) -> Answer:
        return self("GET", target, **{**BROWSER, **environ})

    def post(self, target: str, fields: dict[str, str] | None = None, **environ: Any) -> Answer:
        kind = "application/x-www-form-urlencoded"
        data = urlencode(fields or {}).encode()
        return self("POST", target, data, **{**BROWSER, **OWN, "CONTENT_TYPE": kind, **environ})

    def bearer(self, method: str, target: str, token: str = TOKEN, **environ: Any) -> Answer:
        return self(method, target, HTTP_AUTHORIZATION=f"Bearer {token}", **environ)

    def sign_in(self) -> None:
        self.cookie = self.get(f"/?token={TOKEN}").cookie()

    def press(self, button: str, **fields: str) -> Answer:
        """Press a button of a page, as a browser without JavaScript does."""
        return self.post("/do", {"do": button, "csrf": self.csrf, **fields})

    @property
    def csrf(self) -> str:
        (found,) = re.findall(r'data-csrf="(\w*)"', self.get("/runs").text)
        return str(found)


class Messenger:
    """Has two targets, and what became of their messages."""

    def __init__(self) -> None:
        self._recent = Recent()
        self.ops = Counts("ops", self._recent)
        self.night = Counts("night", self._recent)
        self.facts = {
            "ops": TargetFacts("https://hooks.example.com", "webhook", ("failure", "recovery")),
            "night": TargetFacts("mailto:ops@example.com", "mail", ("success",), "22:00-07:00"),
        }
        self.revision = 0

    def counts(self) -> list[Any]:
        return [each.described(self.facts[each.name]) for each in (self.night, self.ops)]

    def targets(self) -> list[Any]:
        return [each.described(self.facts[each.name], jobs=3) for each in (self.night, self.ops)]

    def recent(self) -> list[Any]:
        return self._recent.messages

    def start(self) -> None: ...

    def stop(self) -> None: ...


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(clock: VirtualClock, make_scheduler: Callable[..., tuple[Scheduler, Any]]) -> Iterator[MakeSite]:
    """Make the pages of a scheduler in virtual time, not started yet, that remembers in memory."""
    sites: list[Site] = []

    def make(address: str = HOST, reload: Any = None, store: Any = None, **settings: Any) -> Site:
        from gcron.web.address import read_address

        scheduler, _ = make_scheduler("UTC", clock=clock, state=store or MemoryStore(now=clock.now))
        gcron = Instance(scheduler, "test", ("crontab",), reload, clock.now(), clock)
        sites.append(Site(gcron, HttpSettings(**settings), read_address(address)))
        return sites[-1]

    yield make
    for site in sites:
        site.application.close()


@pytest.fixture
def stranger(make_site: MakeSite) -> Site:
    """The pages, for somebody who has shown no token."""
    return make_site()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """The pages, for a browser that has signed in."""
    made = make_site()
    made.sign_in()
    return made


@pytest.fixture
def messenger(site: Site) -> Messenger:
    made = Messenger()
    site.gcron.scheduler.use_messenger(made)
    return made
