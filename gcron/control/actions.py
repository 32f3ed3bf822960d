"""What can be done. Each function returns plain data; all are for the thread of the scheduler, and may park.

`who` is the user that asks, and `why` what they gave as the reason: both are in the log and in the reason of what ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.control.nodes import others_up, runs_elsewhere, send, send_to
from gcron.control.operations import ask_history, job, live_run
from gcron.control.records import live_run_record, remote_run_record
from gcron.errors import StateError
from gcron.policy.services import is_service, is_shared
from gcron.runtime.greenlet import spawn
from gcron.scheduler.cluster import Order
from gcron.scheduler.history import StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record, instant
from gcron.supervise.outcome import Outcome, Reason, ReasonCode
from gcron.supervise.run import Run
from gcron.supervise.run_state import RunState

__all__ = [
    "kill_run",
    "pause",
    "reload",
    "restart_service",
    "resume",
    "start_service",
    "stop_job",
    "stop_run",
    "stop_service",
    "trigger",
]

# Seconds after which the answer to a reload says that the files are still being read.
_RELOAD_TAKES = 20.0


def trigger(gcron: Instance, name: str, who: str = "", why: str = "") -> Record:
    """Run a job now: its run. While another run of it is under way, `overlap` decides what becomes of this one."""
    found = gcron.job(name)
    before = gcron.scheduler.status(name).running
    _refuse_when_stopping(gcron)
    with _refused_where_it_cannot_run(name):
        run = gcron.scheduler.trigger(name, who=who, why=why)
    return live_run_record(run, gcron.clock.now()) | {"decision": _decision(run, before, found.policy.overlap)}


def _decision(run: Run, before: tuple[Run, ...], overlap: str) -> str:
    """What happened: `started`, `skipped`, `queued`, `replaced`, or `alive` for a service that runs already."""
    if run in before:
        return "queued" if run.is_stopping else "alive"
    if run.outcome is not None:
        return "skipped"
    others = [earlier for earlier in before if earlier.state is not RunState.RETRYING]  # whose retries are over now
    if not others or overlap in ("allow", "skip"):
        return "started"
    return "replaced" if overlap == "replace" else "queued"


def _refuse_when_stopping(gcron: Instance) -> None:
    if gcron.scheduler.is_stopping:
        raise ControlError("stopping", "gcron is stopping, and starts nothing any more")


# -- runs ---------------------------------------------------------------------------------------------------------


def stop_job(gcron: Instance, name: str, who: str = "", why: str = "", now: bool = False) -> Record:
    """End all runs of a job as at a time-out, or a service; with `now`, kill them at once.

    Runs on other nodes are ended by those, a few seconds later.
    """
    found = gcron.job(name)
    if is_service(found):
        return stop_service(gcron, name, who, why)
    running = gcron.scheduler.status(name).running
    elsewhere: list[StoredRun] = runs_elsewhere(gcron, name).get(name, [])
    if not running and not elsewhere:
        raise ControlError("not-under-way", f"no run of {name!r} is under way", job=name)
    for run in running:
        run.stop(Outcome.KILLED, _reason("killed" if now else "stopped", who, why), now)
    sent_to = send(gcron, "kill" if now else "stop", elsewhere, who, why)
    stopped = [*(run.run_id for run in running), *(run.run_id for run in elsewhere)]
    return {"job": name, "stopped": stopped} | ({"sent_to": sent_to} if sent_to else {})


def stop_run(gcron: Instance, run_id: str, who: str = "", why: str = "") -> Record:
    """End a run as at a time-out: by its stop signal, later by KILL."""
    return _stop(gcron, run_id, who, why, now=False)


def kill_run(gcron: Instance, run_id: str, who: str = "", why: str = "") -> Record:
    """End a run at once, by KILL."""
    return _stop(gcron, run_id, who, why, now=True)


def _stop(gcron: Instance, run_id: str, who: str, why: str, now: bool) -> Record:
    run = live_run(gcron, run_id)
    if run is not None:
        run.stop(Outcome.KILLED, _reason("killed" if now else "stopped", who, why), now)
        return live_run_record(run, gcron.clock.now())
    others = others_up(gcron)
    stored = ask_history(lambda: gcron.scheduler.store.run(run_id)) if others else None
    if stored is None or stored.outcome or stored.node not in others:
        raise ControlError("not-under-way", f"the run {run_id!r} is not under way", run_id=run_id)
    sent_to = send(gcron, "kill" if now else "stop", [stored], who, why)
    return remote_run_record(stored, gcron.clock.now()) | {"sent_to": sent_to}


def _reason(done: str, who: str, why: str) -> Reason:
    return Reason(ReasonCode.STOP_REQUESTED, _sentence(done, who, why))


def _sentence(done: str, who: str, why: str) -> str:
    return (f"{done} by {who}" if who else f"{done} on request") + (f": {why}" if why else "")


# -- pauses -------------------------------------------------------------------------------------------------------


def pause(gcron: Instance, name: str, until: float | None = None, who: str = "", why: str = "") -> Record:
    """Let a job not be due until `until` (seconds of UTC), or until it is resumed. Its runs go on."""
    if is_service(gcron.job(name)):
        raise ControlError(
            "is-a-service", f"{name!r} is a service: it has no fires to pause; stop it instead", job=name
        )
    now = gcron.clock.now()
    if until is not None and until <= now:
        raise ControlError("bad-request", f"the pause would be over: {instant(int(until))} is past", job=name)
    end = None if until is None else datetime.fromtimestamp(until, UTC)
    gcron.scheduler.pause(name, until=end, who=who, why=why)
    return job(gcron, name)


def resume(gcron: Instance, name: str, who: str = "") -> Record:
    """Let a paused job be due again, from now on."""
    gcron.job(name)
    gcron.scheduler.resume(name, who=who)
    return job(gcron, name)


# -- services -----------------------------------------------------------------------------------------------------


def start_service(gcron: Instance, name: str, who: str = "", why: str = "") -> Record:
    """Start a service unless it lives."""
    found = gcron.service(name)
    _refuse_when_stopping(gcron)
    if owner := _owner_elsewhere(gcron, found):
        if not _life_elsewhere(gcron, found):
            send_to(gcron, owner, Order(0, "restart", name, "", who, why))
    else:
        with _refused_where_it_cannot_run(name):
            gcron.scheduler.trigger(name, who=who, why=why)
    return job(gcron, name)


def stop_service(gcron: Instance, name: str, who: str = "", why: str = "") -> Record:
    """End a service, and do not start it again until somebody asks."""
    found = gcron.service(name)
    send(gcron, "stop", _life_elsewhere(gcron, found), who, why)
    gcron.scheduler.stop_service(name, _sentence("stopped", who, why))
    return job(gcron, name)


def _life_elsewhere(gcron: Instance, service: Job) -> list[StoredRun]:
    """The life of a service on another node, if one node runs it for all."""
    return runs_elsewhere(gcron, service.name).get(service.name, []) if is_shared(service) else []


def _owner_elsewhere(gcron: Instance, service: Job) -> str:
    """The other node that has the service, also while it is stopped there; empty: none that is up."""
    node = gcron.scheduler.node
    owner = node.owner_of(service.name) if node is not None and is_shared(service) else ""
    return owner if owner in others_up(gcron) else ""


@contextmanager
def _refused_where_it_cannot_run(name: str) -> Iterator[None]:
    """Another node has the service, or no node yet."""
    try:
        yield
    except StateError as error:
        raise ControlError("not-here", str(error), job=name) from None


def restart_service(gcron: Instance, name: str, who: str = "", why: str = "") -> Record:
    """End the present life of a service and start it again."""
    found = gcron.service(name)
    _refuse_when_stopping(gcron)
    if owner := _owner_elsewhere(gcron, found):
        send_to(gcron, owner, Order(0, "restart", name, "", who, why))
    else:
        with _refused_where_it_cannot_run(name):
            gcron.scheduler.restart_service(name, _sentence("restarted", who, why))
    return job(gcron, name)


# -- the crontabs -------------------------------------------------------------------------------------------------


def reload(gcron: Instance, who: str = "") -> Record:
    """Read the crontabs again now: what has changed. Raises ControlError with all that is wrong."""
    if gcron.reload is None:
        raise ControlError("cannot-reload", "this program has no crontabs to read again")
    _refuse_when_stopping(gcron)
    reading = spawn(gcron.reload.reload, f"reload asked for by {who}" if who else "reload asked for")
    reading.join(_RELOAD_TAKES)
    if not reading.ready():
        text = f"the crontabs are still being read after {_RELOAD_TAKES:g} s; the log shows how it ends"
        raise ControlError("takes-too-long", text)
    reloaded = reading.get()
    if reloaded is None:
        raise ControlError("stopping", "gcron is stopping, and reads nothing any more")
    if reloaded.problem:
        text = "nothing is changed, for what was read is wrong"
        raise ControlError("reload-failed", text, problem=reloaded.problem)
    return {
        "added": list(reloaded.added),
        "changed": list(reloaded.changed),
        "removed": list(reloaded.removed),
        "jobs": len(gcron.scheduler.jobs),
    }
