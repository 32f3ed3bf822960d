"""Serves the pages on a socket that listens: the WSGI server with its limits, and what it serves."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

from gcron.control.instance import Instance
from gcron.runtime.hub import get_hub
from gcron.web.access import Access
from gcron.web.address import Bound
from gcron.web.application import Application
from gcron.web.happened import Happened
from gcron.web.metrics import Metrics
from gcron.web.settings import HttpSettings
from gcron.web.tally import MetricsTally
from gcron.wsgi import Limits, WSGIServer

__all__ = ["LIMITS", "SWITCH_INTERVAL", "Serving", "serve"]

LIMITS = Limits(
    connections=300,
    header_bytes=16 * 1024,
    header_count=60,
    body_bytes=128 * 1024,
    header_timeout=10.0,
    body_timeout=10.0,
    idle_timeout=30.0,
    send_timeout=10.0,
)
# Streams at a time, and the part of all descriptors that they may take: pages need some, and jobs most.
_MOST_STREAMS, _DESCRIPTORS = 150, 1 / 4
SWITCH_INTERVAL = 0.001
"""Seconds after which a thread that makes a page lets the loop's thread go on (sys.setswitchinterval). With Python's 5
milliseconds, a fire beside the page would wait that long, several times (benchmarks/web.py)."""


class Serving:
    """The pages while they are served."""

    def __init__(self, application: Application, server: WSGIServer) -> None:
        self._application = application
        self._server = server
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(min(self._interval, SWITCH_INTERVAL))

    def stop(self) -> None:
        """End all answers, within a second or two."""
        sys.setswitchinterval(self._interval)
        self._application.close()
        self._server.stop(timeout=0.5)


def serve(
    gcron: Instance,
    bound: Bound,
    token: str,
    settings: HttpSettings,
    tally: MetricsTally,
    happened: Happened,
    dropped: Callable[[], int],
) -> Serving:
    """Begin to serve; returns at once."""
    access = Access(token, gcron.clock.now, get_hub().monotonic)
    metrics = Metrics(gcron, tally, dropped)
    application = Application(gcron, settings, access, bound.address, metrics, happened, _most_streams())
    server = WSGIServer(bound.listener, application, log=None, error_log="default", limits=LIMITS)
    server.start()
    return Serving(application, server)


def _most_streams() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_STREAMS if limit == resource.RLIM_INFINITY else min(_MOST_STREAMS, int(limit * _DESCRIPTORS))
