"""The pages as a part of the daemon. They listen from the start; what serves them is loaded for the first client.

It is loaded in a thread, so that no fire waits for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gcron.control.instance import Instance
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import READ, get_hub
from gcron.web.address import Bound
from gcron.web.happened import Happened
from gcron.web.link import Link, write_link
from gcron.web.settings import HttpSettings
from gcron.web.tally import MetricsTally

if TYPE_CHECKING:
    from gcron.web.server import Serving

__all__ = ["WebPart"]

# Seconds in which the jobs that are due at the start begin: the thread that loads the pages would take their time.
_AFTER_THE_START = 0.2

Say = Callable[[str], object]


class WebPart:
    """Serves the pages of `gcron` on `bound`. The holder of `token` may do everything.

    `dropped`: how many lines the log has lost. `shows_token`: whether the log may have it. `has_place`: whether there
    is a directory for the control socket. `say` and `complain` write into the log.
    """

    def __init__(
        self,
        gcron: Instance,
        bound: Bound,
        token: str,
        settings: HttpSettings,
        dropped: Callable[[], int],
        *,
        shows_token: bool,
        has_place: bool,
        say: Say,
        complain: Say,
    ) -> None:
        self._gcron = gcron
        self._bound = bound
        self._token = token
        self._settings = settings
        self._dropped = dropped
        self._happened = Happened(gcron.scheduler)
        self._tally: MetricsTally | None = None
        self._shows_token = shows_token
        self._has_place = has_place
        self._say = say
        self._complain = complain
        self._starter: Greenlet | None = None
        self._serving: Serving | None = None
        self._remove_link: Callable[[], None] = lambda: None

    @property
    def link(self) -> Link:
        """Where the pages are. A proxy in front of a Unix socket has a name that gcron does not know."""
        return Link(f"{self._bound.address.url}{self._settings.prefix}/", self._token)

    def start(self) -> None:
        """Say where the pages are, and serve them soon."""
        self._tally = MetricsTally(self._gcron.scheduler)
        where = "" if self._bound.address.url else f" on {self._bound.address}, behind a proxy"
        self._say(f"pages{where}: {self.link if self._shows_token else self.link.url}")
        self._starter = spawn(self._serve)

    def stop(self) -> None:
        """End all answers, within a second or two."""
        if self._starter is not None:
            self._starter.kill()
        if self._serving is not None:
            self._serving.stop()
        self._bound.close()
        self._remove_link()

    def _serve(self) -> None:
        sleep(_AFTER_THE_START)
        threads = get_hub().threadpool
        if self._has_place:
            try:
                self._remove_link = threads.spawn(write_link, self._gcron.name, self.link).get()
            except OSError as error:
                self._complain(f"`gcron token` does not find the link to the pages: {error}")
        try:
            get_hub().wait_io(self._bound.listener.fileno(), READ)
            serve: Any = threads.spawn(_load).get()
            self._serving = serve(
                self._gcron, self._bound, self._token, self._settings, self._tally, self._happened, self._dropped
            )
        except Exception as error:  # no client may wait for an answer that never comes
            self._bound.close()
            self._complain(f"the pages are closed: {type(error).__name__}: {error}")


def _load() -> Any:
    from gcron.web.server import serve

    return serve
