"""`--metrics-file`: the metrics in a file, for the textfile collector of Prometheus's node_exporter; a part."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from gcron.control.instance import Instance
from gcron.frozen import frozen
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.web.errors import HttpError
from gcron.web.tally import MetricsTally

if TYPE_CHECKING:
    from gcron.web.metrics import Metrics

__all__ = ["MetricsFile", "check_metrics"]

_EVERY = 60.0
# Seconds in which the jobs that are due at the start begin.
_AFTER_THE_START = 1.0


def check_metrics(path: str) -> None:
    """Raise HttpError when the metrics cannot be written there."""
    from importlib.util import find_spec

    if find_spec("prometheus_client") is None:
        raise HttpError("--metrics-file needs prometheus_client: pip install 'gcron[metrics]'")
    directory = os.path.dirname(os.path.abspath(path))
    if not os.access(directory, os.W_OK | os.X_OK):
        raise HttpError(f"--metrics-file {path}: cannot write into {directory}")


@frozen
class _Written:
    text: bytes
    path: str

    def __call__(self) -> None:
        """Put the whole file in its place: its reader must not see half of it."""
        made = f"{self.path}.{os.getpid()}"  # not *.prom, which the collector reads
        with open(made, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(self.text)
        os.replace(made, self.path)


class MetricsFile:
    """Writes the metrics of `gcron` to `path` each minute. `complain` writes into the log, once for each failure."""

    def __init__(
        self, gcron: Instance, path: str, dropped: Callable[[], int], complain: Callable[[str], object]
    ) -> None:
        self._gcron = gcron
        self._path = path
        self._dropped = dropped
        self._complain = complain
        self._writer: Greenlet | None = None
        self._problem = ""

    def start(self) -> None:
        """Begin; returns at once."""
        self._writer = spawn(self._write_all, MetricsTally(self._gcron.scheduler))

    def stop(self) -> None:
        """End."""
        if self._writer is not None:
            self._writer.kill()

    def _write_all(self, tally: MetricsTally) -> None:
        sleep(_AFTER_THE_START)
        metrics = get_hub().threadpool.spawn(_load).get()(self._gcron, tally, self._dropped)
        while True:
            self._write(metrics)
            sleep(_EVERY)

    def _write(self, metrics: Metrics) -> None:
        def run(work: Callable[..., object], *arguments: object) -> object:
            return get_hub().threadpool.spawn(work, *arguments).get()

        try:
            text, _ = metrics.text("", run)
            run(_Written(text, self._path))
        except OSError as error:
            problem = f"the metrics cannot be written: {self._path}: {error.strerror or error}"
            if problem != self._problem:
                self._complain(problem)
            self._problem = problem
        else:
            self._problem = ""


def _load() -> type[Metrics]:
    from gcron.web.metrics import Metrics

    return Metrics
