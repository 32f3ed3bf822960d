"""The table of what the API answers: one row an endpoint. Routes, checks and the OpenAPI document derive from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from gcron.control import actions, operations
from gcron.control.errors import ControlError
from gcron.control.feed import Feed, Message, follow_output
from gcron.control.instance import Instance
from gcron.control.request import (
    Parameter,
    read_count,
    read_duration,
    read_names,
    read_number,
    read_switch,
    read_text,
    read_time,
)
from gcron.control.schemas import BOOLEAN, TEXT, TIME, page_of, reference
from gcron.control.why import why
from gcron.scheduler.history import RunQuery
from gcron.supervise.outcome import Outcome

__all__ = ["ENDPOINTS", "Asked", "Endpoint", "Output"]

MOST_ITEMS = 500
"""Of one page."""
_OUTCOMES = frozenset([*map(str, Outcome), "lost"])


class Asked(NamedTuple):
    """One request, checked."""

    gcron: Instance
    feed: Feed
    values: Mapping[str, Any]
    """Parameters that were given."""
    who: str
    """The user that asks; empty when that is not known."""
    last_event_id: str = ""


class Output(NamedTuple):
    """An answer that is not JSON: what a run wrote, in pieces."""

    pieces: Iterator[bytes]


class Endpoint(NamedTuple):
    """One row."""

    method: Literal["GET", "POST"]
    path: str
    """With parameters in braces."""
    answer: Callable[[Asked], Any]
    """Returns plain data; messages, if the row `streams`; or an `Output`."""
    schema: Mapping[str, Any]
    """Of the answer, or of the data of a message."""
    summary: str
    parameters: tuple[Parameter, ...] = ()
    streams: bool | str = False
    """Server-sent events: always, or if the switch of this name is given."""

    @property
    def operation_id(self) -> str:
        """Its name in the OpenAPI document."""
        words = self.path.replace("{", "").replace("}", "").strip("/").replace(".", "-").split("/")
        return "-".join([self.method.lower(), *words])


_NAME = Parameter("name", "path", str, TEXT, "the name of a job", True)
_RUN_ID = Parameter("run_id", "path", str, TEXT, "the id of a run", True)
_WHY = Parameter("why", "body", read_text, TEXT, "the reason, for the log")
_CURSOR = Parameter("cursor", "query", read_text, TEXT, "`cursor` of the page before")
_LIMIT = Parameter(
    "limit",
    "query",
    read_count(MOST_ITEMS),
    {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS},
    f"how many, at most {MOST_ITEMS}; 100 if not given",
)


def _read_outcomes(value: Any) -> frozenset[str]:
    outcomes = read_names(value)
    if unknown := outcomes - _OUTCOMES:
        raise ValueError(f"{min(unknown)!r} is no outcome: they are {', '.join(sorted(_OUTCOMES))}")
    return outcomes


_RUN_FILTERS = (
    Parameter("outcome", "query", _read_outcomes, TEXT, "only these outcomes, separated by commas"),
    Parameter("since", "query", read_time, TIME, "only runs made at this time or later"),
    Parameter("until", "query", read_time, TIME, "only runs made before this time"),
    _LIMIT,
    _CURSOR,
)


# -- what is asked ------------------------------------------------------------------------------------------------


def _jobs(asked: Asked) -> Any:
    if (text := asked.values.get("find")) is not None:
        return {"jobs": operations.find_jobs(asked.gcron, text), "cursor": None}
    jobs, cursor = operations.jobs(asked.gcron, asked.values.get("limit", 100), asked.values.get("cursor", ""))
    return {"jobs": jobs, "cursor": cursor}


def _runs(asked: Asked) -> Any:
    values = asked.values
    query = RunQuery(
        job=values.get("name", values.get("job")),
        outcomes=values.get("outcome", frozenset()),
        since=values.get("since"),
        until=values.get("until"),
        limit=values.get("limit", 100),
        cursor=values.get("cursor", ""),
    )
    runs, cursor = operations.runs(asked.gcron, query)
    return {"runs": runs, "cursor": cursor}


def _output(asked: Asked) -> Any:
    run_id, position = asked.values["run_id"], asked.values.get("position", 0)
    if asked.values.get("follow"):
        if asked.last_event_id.isdecimal() and len(asked.last_event_id) < 18:
            position = int(asked.last_event_id)
        return follow_output(asked.gcron, run_id, position)
    operations.run(asked.gcron, run_id)
    first = operations.output_part(asked.gcron, run_id, position)
    if first is None:
        raise ControlError("no-output", f"no output of the run {run_id!r} is kept", run_id=run_id)
    return Output(_pieces(asked.gcron, run_id, first.start, first.size))


def _pieces(gcron: Instance, run_id: str, position: int, size: int) -> Iterator[bytes]:
    """What was written up to now. A gap is a line of its own."""
    while position < size:
        part = operations.output_part(gcron, run_id, position)
        if part is None or not part.data:
            return
        if part.start > position:
            yield b"[gcron: %d bytes are not kept]\n" % (part.start - position)
        yield part.data
        position = part.start + len(part.data)


def _events(asked: Asked) -> Iterator[Message]:
    values = asked.values
    jobs: frozenset[str] = values.get("job", frozenset())
    for name in jobs:
        asked.gcron.job(name)
    return asked.feed.follow(jobs, values.get("kind", frozenset()), asked.last_event_id)


def _upcoming(asked: Asked) -> Any:
    values = asked.values
    fires = operations.upcoming(
        asked.gcron, values.get("from"), values.get("to"), values.get("limit", 100), values.get("job")
    )
    return {"fires": fires, "cursor": None}


# -- what is done -------------------------------------------------------------------------------------------------


def _act(action: Callable[..., Any], *names: str) -> Callable[[Asked], Any]:
    """An answer by an action that takes these parameters, who asks, and why."""

    def answer(asked: Asked) -> Any:
        values = asked.values
        return action(asked.gcron, *(values[name] for name in names), who=asked.who, why=values.get("why", ""))

    return answer


def _stop_job(asked: Asked) -> Any:
    values = asked.values
    now = values.get("now", False)
    return actions.stop_job(asked.gcron, values["name"], asked.who, values.get("why", ""), now)


def _pause(asked: Asked) -> Any:
    values = asked.values
    until = values.get("until")
    if (seconds := values.get("for")) is not None:
        if until is not None:
            raise ControlError("bad-request", "give `for` or `until`, not both")
        until = asked.gcron.clock.now() + seconds
    return actions.pause(asked.gcron, values["name"], until, asked.who, values.get("why", ""))


_JOB_PAGE = page_of("jobs", "Job")
_RUN_PAGE = page_of("runs", "Run")

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/instance",
        lambda asked: operations.instance(asked.gcron),
        reference("Instance"),
        "This gcron: version, process, crontabs, store, and how the last reload went",
    ),
    Endpoint(
        "GET",
        "/jobs",
        _jobs,
        _JOB_PAGE,
        "How all jobs stand, services too, in the order of the crontabs",
        (
            Parameter(
                "find", "query", read_text, TEXT, "only the one job of this name, with this part in it, or at file:line"
            ),
            _LIMIT,
            _CURSOR,
        ),
    ),
    Endpoint(
        "GET",
        "/jobs/{name}",
        lambda asked: operations.job(asked.gcron, asked.values["name"]),
        reference("JobDetails"),
        "All about one job: how it stands, its definition, its next fires",
        (_NAME,),
    ),
    Endpoint("GET", "/jobs/{name}/runs", _runs, _RUN_PAGE, "The runs of a job, newest first", (_NAME, *_RUN_FILTERS)),
    Endpoint(
        "GET",
        "/runs",
        _runs,
        _RUN_PAGE,
        "The runs of all jobs, newest first",
        (Parameter("job", "query", read_text, TEXT, "only this job"), *_RUN_FILTERS),
    ),
    Endpoint(
        "GET",
        "/runs/{run_id}",
        lambda asked: operations.run(asked.gcron, asked.values["run_id"]),
        reference("Run"),
        "All of a run's record",
        (_RUN_ID,),
    ),
    Endpoint(
        "GET",
        "/runs/{run_id}/output",
        _output,
        {"type": "object", "description": "output: start, text; gap: bytes; end: the run"},
        "What a run wrote: its bytes; with follow=1, as it comes",
        (
            _RUN_ID,
            Parameter(
                "position",
                "query",
                read_number,
                {"type": "integer"},
                "begin at this byte; negative: so many bytes from the end",
            ),
            Parameter("follow", "query", read_switch, BOOLEAN, "a stream of events, until the run has ended"),
        ),
        streams="follow",
    ),
    Endpoint(
        "GET",
        "/services",
        lambda asked: {"services": operations.services(asked.gcron), "cursor": None},
        page_of("services", "Job"),
        "How the services stand",
    ),
    Endpoint(
        "GET",
        "/groups",
        lambda asked: {"groups": operations.groups(asked.gcron), "cursor": None},
        page_of("groups", "Group"),
        "The groups, with the runs inside and those that wait",
    ),
    Endpoint(
        "GET",
        "/nodes",
        lambda asked: {"nodes": operations.nodes(asked.gcron), "cursor": None},
        page_of("nodes", "Node"),
        "The machines that share the work",
    ),
    Endpoint(
        "GET",
        "/upcoming",
        _upcoming,
        page_of("fires", "Fire"),
        "The fires to come, in order",
        (
            Parameter("from", "query", read_time, TIME, "after this time (now, if not given)"),
            Parameter("to", "query", read_time, TIME, "up to this time"),
            Parameter("job", "query", read_text, TEXT, "only this job"),
            _LIMIT,
        ),
    ),
    Endpoint(
        "GET",
        "/why",
        lambda asked: why(asked.gcron, asked.values["job"], asked.values["at"]),
        reference("Why"),
        "Why a job ran, or did not run, at a time",
        (
            Parameter("job", "query", read_text, TEXT, "the name of the job", True),
            Parameter(
                "at",
                "query",
                read_text,
                TEXT,
                "02:30, or 2027-03-28T02:30 in the zone of the job, or with Z or an offset",
                True,
            ),
        ),
    ),
    Endpoint(
        "GET",
        "/events",
        _events,
        reference("Event"),
        "What happens, as it happens; output is not among it. Last-Event-ID resumes",
        (
            Parameter("job", "query", read_names, TEXT, "only these jobs, separated by commas"),
            Parameter("kind", "query", read_names, TEXT, "only these kinds, separated by commas"),
        ),
        streams=True,
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/trigger",
        _act(actions.trigger, "name"),
        reference("Triggered"),
        "Run a job now. While it runs, `overlap` decides",
        (_NAME, _WHY),
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/pause",
        _pause,
        reference("JobDetails"),
        "Let a job not be due for a time, or until it is resumed",
        (
            _NAME,
            _WHY,
            Parameter("for", "body", read_duration, {"type": ["string", "number"]}, "how long: seconds, or `1h30m`"),
            Parameter("until", "body", read_time, TIME, "until this time"),
        ),
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/resume",
        lambda asked: actions.resume(asked.gcron, asked.values["name"]),
        reference("JobDetails"),
        "Let a paused job be due again",
        (_NAME,),
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/stop",
        _stop_job,
        {"anyOf": [reference("Stopped"), reference("JobDetails")]},
        "End all runs of a job, or a service",
        (_NAME, _WHY, Parameter("now", "body", read_switch, BOOLEAN, "kill them at once")),
    ),
    Endpoint(
        "POST",
        "/runs/{run_id}/stop",
        _act(actions.stop_run, "run_id"),
        reference("Run"),
        "End a run as at a time-out",
        (_RUN_ID, _WHY),
    ),
    Endpoint(
        "POST",
        "/runs/{run_id}/kill",
        _act(actions.kill_run, "run_id"),
        reference("Run"),
        "Kill a run at once",
        (_RUN_ID, _WHY),
    ),
    *(
        Endpoint(
            "POST",
            f"/services/{{name}}/{verb}",
            _act(action, "name"),
            reference("JobDetails"),
            f"{verb.capitalize()} a service",
            (_NAME, _WHY),
        )
        for verb, action in (
            ("start", actions.start_service),
            ("stop", actions.stop_service),
            ("restart", actions.restart_service),
        )
    ),
    Endpoint(
        "POST",
        "/reload",
        lambda asked: actions.reload(asked.gcron, asked.who),
        reference("Reloaded"),
        "Read the crontabs again now",
    ),
)
