"""The table of what the API answers: one row an endpoint. Routes, checks and the OpenAPI document derive from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from gcron.control import actions, answers, nodes, operations
from gcron.control.answers import Asked
from gcron.control.messages import notifications
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
from gcron.supervise.outcome import Outcome

__all__ = ["ENDPOINTS", "Endpoint"]

MOST_ITEMS = 500
"""Of one page."""
_OUTCOMES = frozenset([*map(str, Outcome), "lost"])


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
    Parameter("failed", "query", read_switch, BOOLEAN, "only failures: no run stopped on request"),
    Parameter("since", "query", read_time, TIME, "only runs made at this time or later"),
    Parameter("until", "query", read_time, TIME, "only runs made before this time"),
    _LIMIT,
    _CURSOR,
)


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
        answers.jobs,
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
    Endpoint(
        "GET",
        "/jobs/{name}/runs",
        answers.runs,
        _RUN_PAGE,
        "The runs of a job, newest first",
        (_NAME, *_RUN_FILTERS),
    ),
    Endpoint(
        "GET",
        "/runs",
        answers.runs,
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
        answers.output,
        {"type": "object", "description": "output: start, text, spans; gap: bytes; end: the run"},
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
            Parameter(
                "timestamps",
                "query",
                read_switch,
                BOOLEAN,
                "also when the bytes came, and from which stream, in `spans`; without follow, as JSON lines",
            ),
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
        lambda asked: {"nodes": nodes.nodes(asked.gcron), "cursor": None},
        page_of("nodes", "Node"),
        "The machines that share the work",
    ),
    Endpoint(
        "GET",
        "/notifications",
        lambda asked: notifications(asked.gcron, asked.values.get("limit", 100)),
        reference("Notifications"),
        "What became of messages: for each target, and for the newest messages one by one",
        (_LIMIT,),
    ),
    Endpoint(
        "GET",
        "/upcoming",
        answers.upcoming,
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
        answers.events,
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
        answers.act(actions.trigger, "name"),
        reference("Triggered"),
        "Run a job now. While it runs, `overlap` decides",
        (_NAME, _WHY),
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/pause",
        answers.pause,
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
        lambda asked: actions.resume(asked.gcron, asked.values["name"], asked.who),
        reference("JobDetails"),
        "Let a paused job be due again",
        (_NAME,),
    ),
    Endpoint(
        "POST",
        "/jobs/{name}/stop",
        answers.stop_job,
        {"anyOf": [reference("Stopped"), reference("JobDetails")]},
        "End all runs of a job, or a service",
        (_NAME, _WHY, Parameter("now", "body", read_switch, BOOLEAN, "kill them at once")),
    ),
    Endpoint(
        "POST",
        "/runs/{run_id}/stop",
        answers.act(actions.stop_run, "run_id"),
        reference("Run"),
        "End a run as at a time-out",
        (_RUN_ID, _WHY),
    ),
    Endpoint(
        "POST",
        "/runs/{run_id}/kill",
        answers.act(actions.kill_run, "run_id"),
        reference("Run"),
        "Kill a run at once",
        (_RUN_ID, _WHY),
    ),
    *(
        Endpoint(
            "POST",
            f"/services/{{name}}/{verb}",
            answers.act(action, "name"),
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
