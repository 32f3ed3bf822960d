"""`/metrics`: how the jobs stand, for Prometheus, by its own library. Names are never those of commands.

What is asked is asked in the thread of the scheduler, in small parts; the text is made in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gcron.control.errors import ControlError
from gcron.control.instance import AT_ONCE, Instance
from gcron.control.operations import ask_history
from gcron.frozen import frozen
from gcron.runtime.greenlet import sleep
from gcron.scheduler.history import JobSummary
from gcron.scheduler.messages import TargetCounts
from gcron.scheduler.status import JobStatus
from gcron.supervise.outcome import Outcome
from gcron.supervise.restarts import ServiceState
from gcron.version import __version__
from gcron.web.answers import Refusal
from gcron.web.tally import BUCKETS, MetricsTally

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from gcron.scheduler.cluster import NodeRecord

__all__ = ["MISSING", "Metrics"]

MISSING = "metrics need prometheus_client: pip install 'gcron[metrics]'"
_PREFIX = "gcron_"
_NO_OUTCOMES = ("missed",)  # counted in fires, by a metric of its own

Dropped = Callable[[], int]


@frozen
class _Nodes:
    """What is known of the nodes that share the jobs, and of this one's database."""

    records: Sequence[NodeRecord]
    own: NodeRecord | None
    skew: float | None
    latency: float | None


@frozen
class _Facts:
    """What was asked, to be written down in a thread."""

    statuses: Sequence[JobStatus]
    summaries: dict[str, JobSummary]
    tally: MetricsTally
    reload: tuple[bool, float | None] | None
    """Whether the crontabs on disk are right, and when they were read last."""
    dropped: int
    messages: Sequence[TargetCounts]
    nodes: _Nodes | None
    """None where gcron does not share its jobs."""


class Metrics:
    """Metrics of one gcron. `dropped`: how many lines of output the log has dropped."""

    def __init__(self, gcron: Instance, tally: MetricsTally, dropped: Dropped) -> None:
        self._gcron = gcron
        self._tally = tally
        self._dropped = dropped

    def text(self, accept: str, run: Callable[..., Any]) -> tuple[bytes, str]:
        """The text in the format that the client takes, and its type. `run`: calls a function in a thread.

        Raises Refusal when the library is missing.
        """
        facts = self._ask()
        try:
            written: tuple[bytes, str] = run(_write, facts, accept)
        except ModuleNotFoundError:
            raise Refusal(HTTPStatus.NOT_IMPLEMENTED, "no-metrics", MISSING) from None
        return written

    def _ask(self) -> _Facts:
        scheduler = self._gcron.scheduler
        self._tally.forget_removed()
        names = [job.name for job in scheduler.jobs]
        try:
            summaries = dict(ask_history(lambda: scheduler.store.summaries(names)))
        except ControlError:
            summaries = {}  # metrics that come from the history are left out
        statuses: list[JobStatus] = []
        for start in range(0, len(names), AT_ONCE):
            if start:
                sleep(0)
            statuses += scheduler.statuses(names[start : start + AT_ONCE])
        reload = self._gcron.reload
        read = None if reload is None else (not reload.problem, reload.last_read or self._gcron.since)
        counts = scheduler.message_counts
        return _Facts(statuses, summaries, self._tally, read, self._dropped(), counts, self._nodes())

    def _nodes(self) -> _Nodes | None:
        scheduler = self._gcron.scheduler
        node = scheduler.node
        if node is None:
            return None
        records = scheduler.nodes
        own = next((record for record in records if record.node == node.name), None)
        return _Nodes(records, own, node.skew, node.latency)


def _write(facts: _Facts, accept: str) -> tuple[bytes, str]:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Collector(facts))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Collector:
    def __init__(self, facts: _Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        facts = self._facts
        yield _gauge("up", "This gcron runs", 1)
        build = _gauge("build_info", "The version of gcron", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from _of_jobs([status for status in facts.statuses if status.service is None], facts)
        yield from _of_services([status for status in facts.statuses if status.service is not None])
        yield from _of_messages(facts.messages)
        if facts.reload is not None:
            is_right, last = facts.reload
            yield _gauge("reload_success", "Whether the crontabs on disk are right", int(is_right))
            yield _gauge("reload_timestamp_seconds", "When the crontabs were read last", last or 0)
        if facts.nodes is not None:
            yield from _of_nodes(facts.nodes)
        yield _counter("log_dropped_lines", "Lines of output that the log dropped", facts.dropped)
        yield _counter("store_errors", "How often the history failed", facts.tally.store_errors)
        yield _counter("loop_blocked_seconds", "Seconds in which no job could start", facts.tally.blocked_seconds)


def _of_jobs(statuses: Sequence[JobStatus], facts: _Facts) -> Iterable[Metric]:
    runs = _counter("job_runs", "Runs by outcome, since the start of gcron", labels=["job", "outcome"])
    durations = _histogram("job_duration_seconds", "How long the last attempt of a run took")
    running = _gauge("job_running", "Runs under way", labels=["job"])
    success = _gauge("job_last_success_timestamp_seconds", "When it succeeded last", labels=["job"])
    last = _gauge("job_last_run_timestamp_seconds", "When its last run ended", labels=["job"])
    code = _gauge("job_last_exit_code", "Exit status of its last run that had one", labels=["job"])
    upcoming = _gauge("job_next_fire_timestamp_seconds", "When it is due next", labels=["job"])
    missed = _counter("job_missed", "Fires that it missed, since the start of gcron", labels=["job"])
    late = _gauge("job_late_seconds", "How long after its time its last run began", labels=["job"])
    retries = _counter("job_retries", "Attempts beyond the first, since the start of gcron", labels=["job"])
    overdue = _gauge("job_overdue", "Whether it has not succeeded within its expect-within", labels=["job"])
    paused = _gauge("job_paused", "Whether it is paused", labels=["job"])
    cpu = _counter("job_cpu_seconds", "Processor time of its runs, since the start of gcron", labels=["job"])
    memory = _gauge("job_last_max_rss_bytes", "Most memory of a process of its last run", labels=["job"])
    for status in statuses:
        name = [_label(status.name)]
        counts = status.counts.as_dict()
        for outcome in Outcome:
            number = counts.get(str(outcome).replace("-", "_"), 0)
            if number and outcome not in _NO_OUTCOMES:
                runs.add_metric([*name, str(outcome)], number)
        if (tally := facts.tally.jobs.get(status.name)) is not None:
            durations.add_metric(name, _buckets(tally.counts), tally.seconds)
            late.add_metric(name, tally.late)
            cpu.add_metric(name, tally.cpu_seconds)
            if tally.max_rss_bytes is not None:
                memory.add_metric(name, tally.max_rss_bytes)
            if tally.exit_code is not None:
                code.add_metric(name, tally.exit_code)
        if (summary := facts.summaries.get(status.name)) is not None:
            if summary.last_success is not None:
                success.add_metric(name, summary.last_success)
            if summary.last_finished is not None:
                last.add_metric(name, summary.last_finished)
        if status.next_fire is not None:
            upcoming.add_metric(name, status.next_fire.timestamp())
        running.add_metric(name, len(status.running))
        missed.add_metric(name, counts["missed"])
        retries.add_metric(name, counts["retried"])
        overdue.add_metric(name, int(status.is_overdue))
        paused.add_metric(name, int(status.is_paused))
    yield from (runs, durations, running, success, last, code, upcoming, missed, late, retries, overdue, paused)
    yield from (cpu, memory)


def _of_services(statuses: Sequence[JobStatus]) -> Iterable[Metric]:
    up = _gauge("service_up", "Whether the service can be used", labels=["service"])
    restarts = _counter("service_restarts", "How often the service was started again", labels=["service"])
    for status in statuses:
        if status.service is not None:
            up.add_metric([_label(status.name)], int(status.service.state is ServiceState.READY))
            restarts.add_metric([_label(status.name)], status.service.restarts)
    yield from (up, restarts)


def _of_messages(targets: Sequence[TargetCounts]) -> Iterable[Metric]:
    if not targets:
        return
    sent = _counter("messages_sent", "Messages that were delivered, since the start of gcron", labels=["target"])
    lost = _counter("messages_given_up", "Messages that were given up, since the start of gcron", labels=["target"])
    failed = _counter("message_tries_failed", "Deliveries that failed, since the start of gcron", labels=["target"])
    waiting = _gauge("messages_waiting", "Messages that wait", labels=["target"])
    failing = _gauge("message_target_failing", "Whether the last delivery failed", labels=["target"])
    for counts in targets:
        name = [_label(counts.target)]
        sent.add_metric(name, counts.sent)
        lost.add_metric(name, counts.lost)
        failed.add_metric(name, counts.failed)
        waiting.add_metric(name, counts.waiting)
        failing.add_metric(name, counts.failing)
    yield from (sent, lost, failed, waiting, failing)


def _of_nodes(nodes: _Nodes) -> Iterable[Metric]:
    up = _gauge("node_up", "Whether the node has renewed its lease in time", labels=["node"])
    for record in nodes.records:
        up.add_metric([_label(record.node)], int(record.is_up))
    yield up
    if nodes.own is not None:
        claims = _counter("claims", "Claims of fires by this node, since its start", labels=["result"])
        claims.add_metric(["won"], nodes.own.won)
        claims.add_metric(["lost"], nodes.own.lost)
        yield claims
    if nodes.skew is not None:
        yield _gauge("clock_skew_seconds", "Seconds that this node's clock is ahead of the database's", nodes.skew)
    if nodes.latency is not None:
        yield _gauge("store_latency_seconds", "How long the database took to answer last", nodes.latency)


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS), "+Inf"]
    return [(bound, float(sum(counts[: place + 1]))) for place, bound in enumerate(bounds)]


def _label(name: str) -> str:
    """A name as the value of a label, which is UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _gauge(name: str, help: str, value: float | None = None, labels: Sequence[str] | None = None) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(_PREFIX + name, help, value=value, labels=labels)


def _counter(name: str, help: str, value: float | None = None, labels: Sequence[str] | None = None) -> Any:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(_PREFIX + name, help, value=value, labels=labels)


def _histogram(name: str, help: str) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    return HistogramMetricFamily(_PREFIX + name, help, labels=["job"])
