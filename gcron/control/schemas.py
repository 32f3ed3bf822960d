"""What answers look like: JSON Schemas (draft 2020-12) by name, for the OpenAPI document. Tests check real answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gcron.control.errors import STATUS_OF
from gcron.scheduler.events import EVENTS
from gcron.scheduler.history import RECENT
from gcron.scheduler.messages import MessageState
from gcron.supervise.outcome import Outcome
from gcron.supervise.restarts import ServiceState
from gcron.supervise.run_state import RunState

__all__ = ["BOOLEAN", "COUNT", "SCHEMAS", "SECONDS", "TEXT", "TIME", "page_of", "reference"]

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}


def reference(name: str) -> Schema:
    """The schema with this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str, item: str) -> Schema:
    """One page of a list."""
    cursor = {**_or_null(TEXT), "description": "asks for the next page; null at the end"}
    fields: dict[str, Any] = {name: _list(reference(item)), "cursor": cursor}
    return _object("A page of a list.", **fields)


def _or_null(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _one_of(*words: object) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words]}


def _object(description: str, optional: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


_OUTCOME = _one_of(*Outcome)
_RUN: Mapping[str, Schema] = {
    "job": TEXT,
    "run_id": TEXT,
    "state": {**_one_of(*RunState, "unknown"), "description": "unknown: its record has no end, and it is not running"},
    "outcome": {"enum": [*_OUTCOME["enum"], None], "description": "null while there is none"},
    "reason": TEXT,
    "reason_code": TEXT,
    "fire_at": {**_or_null(TIME), "description": "when it was due; null when it was triggered"},
    "who": {**TEXT, "description": "who triggered it; empty if nobody did, or it is not known"},
    "why": {**TEXT, "description": "the reason that was given for the trigger"},
    "created": TIME,
    "started": _or_null(TIME),
    "ended": _or_null(TIME),
    "pid": _or_null(COUNT),
    "attempts": COUNT,
    "exit_code": {"type": ["integer", "null"], "description": "negative for a signal"},
    "duration": {**_or_null(SECONDS), "description": "seconds; of a run under way, so far"},
    "cpu_seconds": {**_or_null(SECONDS), "description": "processor time; null before the end, or if it is not known"},
    "max_rss_bytes": {**_or_null(COUNT), "description": "most memory; null before the end, or if it is not known"},
    "output_bytes": COUNT,
    "waits_for": {**TEXT, "description": "of a run that has not begun: what it waits for, and how that stands"},
    "left_behind": {**TEXT, "description": "names of processes that could not be ended"},
    "node": {**TEXT, "description": "where several nodes share the work: the one that ran it, or decided about it"},
    "fence": {**COUNT, "description": "where several nodes share the work: the number of its claim"},
    "sent_to": {**_list(TEXT), "description": "after a stop: the node that was told, and does it within 5 s"},
    "first": {**_or_null(TIME), "description": "of a span of missed fires: the first"},
    "last": {**_or_null(TIME), "description": "of a span of missed fires: the last"},
    "count": {**COUNT, "description": "of a span of missed fires: how many, at least"},
}
_RUN_OPTIONAL = ("waits_for", "left_behind", "node", "fence", "sent_to", "first", "last", "count")
_SUMMARY: Mapping[str, Schema] = {
    "recent": {**_list(_OUTCOME), "maxItems": RECENT, "description": "its last outcomes, oldest first"},
    "recent_durations": {
        **_list(_or_null(SECONDS)),
        "maxItems": RECENT,
        "description": "how long each of them took, right within an eighth; null if no process ran, or it is not known",
    },
    "runs": COUNT,
    "succeeded": COUNT,
    "failed": COUNT,
    "skipped": COUNT,
    "missed": COUNT,
    "success_rate": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "last_ended": _or_null(TIME),
    "last_success": _or_null(TIME),
    "last_fire_at": _or_null(TIME),
    "last_duration": _or_null(SECONDS),
    "mean_duration": _or_null(SECONDS),
    "longest_duration": _or_null(SECONDS),
}
_MESSAGE_COUNTS: Mapping[str, Schema] = {
    "target": {**TEXT, "description": "its name; `on-failure commands` and the like for the commands of all jobs"},
    "where": {
        **TEXT,
        "description": "scheme and host, an address, or of how many jobs; empty for a target that is gone",
    },
    "kind": _one_of("mail", "webhook", "ping", "command", "apprise", "unknown", "gone"),
    "on": {**_list(TEXT), "description": "the kinds of messages that it gets"},
    "quiet": {**TEXT, "description": "its quiet hours, such as 22:00-07:00; empty for none"},
    "sent": COUNT,
    "waiting": COUNT,
    "held": {**COUNT, "description": "of those that wait: for a digest"},
    "held_until": _or_null(TIME),
    "given_up": COUNT,
    "dropped": {**COUNT, "description": "of those that were given up: too many waited"},
    "failed_tries": COUNT,
    "last_sent": _or_null(TIME),
    "failing": {**COUNT, "description": "1 if the last try failed; of commands, for how many jobs"},
    "last_error": {**TEXT, "description": "of the last try, if it failed"},
    "last_error_at": _or_null(TIME),
    "next_try": _or_null(TIME),
}
_JOB: Mapping[str, Schema] = {
    "job": TEXT,
    "kind": _one_of("cron", "every", "once", "after-end", "after-jobs", "manual", "reboot", "service", "custom"),
    "schedule": TEXT,
    "timezone": TEXT,
    "source": {**TEXT, "description": "file:line"},
    "description": TEXT,
    "enabled": BOOLEAN,
    "paused": BOOLEAN,
    "overdue": {**BOOLEAN, "description": "it has not succeeded within its expect-within"},
    "next_fire": _or_null(TIME),
    "running": _list(reference("Run")),
    "after_jobs": {
        **_list(reference("Upstream")),
        "description": "the jobs that it runs after, and how each has done since its last start",
    },
    "group": _or_null(TEXT),
    **_SUMMARY,
    "pause": _or_null(reference("Pause")),
    "service": reference("Service"),
}
_DETAILS: Mapping[str, Schema] = {
    "words": {**TEXT, "description": "the schedule in words"},
    "command": {**_or_null(TEXT), "description": "with an ellipsis in the place of what may be a secret"},
    "function": {**_or_null(TEXT), "description": "of a Python job"},
    "user": _or_null(TEXT),
    "options": {"type": "object", "description": "the options that are not at their defaults"},
    "limits_problem": {**_or_null(TEXT), "description": "which of its limits cannot be kept here, and why"},
    "next_fires": _list(TIME),
    "waits": {
        **TEXT,
        "description": "what a job that runs after others waits for, or why this node never runs it",
    },
}

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "Problem": {
            "type": "object",
            "description": "What is wrong with a request (RFC 9457). Some codes have further fields.",
            "properties": {
                "type": TEXT,
                "title": TEXT,
                "status": {"type": "integer"},
                "detail": TEXT,
                "code": _one_of(*STATUS_OF),
                "nearest": {**_list(TEXT), "description": "names that may have been meant"},
            },
            "required": ["type", "title", "status", "detail", "code"],
        },
        "Instance": _object(
            "This gcron.",
            instance=TEXT,
            version=TEXT,
            pid=COUNT,
            since=TIME,
            now=TIME,
            crontabs=_list(TEXT),
            jobs=COUNT,
            services=COUNT,
            running=COUNT,
            stopping=BOOLEAN,
            counts={
                "type": "object",
                "description": "outcomes since the start",
                "additionalProperties": COUNT,
            },
            messages=_list(reference("MessageCounts")),
            store=_object(
                "What remembers, and whether it works.",
                where=_or_null(TEXT),
                runs=_or_null(COUNT),
                oldest=_or_null(TIME),
                size=_or_null(COUNT),
                output_size=_or_null(COUNT),
                problem=_or_null(TEXT),
                problem_since=_or_null(TIME),
                lost=COUNT,
            ),
            reload=_or_null(reference("ReloadState")),
            nodes=_list(reference("Node")),
        ),
        "ReloadState": _object(
            "How the crontabs stand on disk.",
            last_reload=_or_null(TIME),
            reading_since=_or_null(TIME),
            problem=_or_null(TEXT),
        ),
        "MessageCounts": _object("What became of the messages for one target, since the start.", **_MESSAGE_COUNTS),
        "Notifications": _object(
            "What became of messages.",
            since={**TIME, "description": "the counts and the messages begin with this start of gcron"},
            is_kept={**BOOLEAN, "description": "what is not delivered is kept on disk over a restart"},
            targets=_list(
                _object("A target and its messages.", **_MESSAGE_COUNTS, jobs=_or_null(COUNT)),
            ),
            messages={**_list(reference("Message")), "description": "the newest, newest first; 500 are remembered"},
        ),
        "Message": _object(
            "A message for one target.",
            message_id=TEXT,
            time={**TIME, "description": "when it was made"},
            job={**TEXT, "description": "empty when it is about gcron itself"},
            kind=TEXT,
            title=TEXT,
            target=TEXT,
            state=_one_of(*MessageState),
            attempts={**COUNT, "description": "tries since the start of gcron"},
            error={**TEXT, "description": "of the last try, if it failed, or why it was dropped"},
            changed={**_or_null(TIME), "description": "when it was tried last, or dropped"},
            next_try=_or_null(TIME),
            from_before={**BOOLEAN, "description": "it was made before this start of gcron, and kept on disk"},
        ),
        "Node": _object(
            "A machine that shares the work.",
            node=TEXT,
            self={**BOOLEAN, "description": "the one that answers"},
            up={**BOOLEAN, "description": "it has renewed its lease in time"},
            host=TEXT,
            pid=COUNT,
            since=TIME,
            last_beat=_or_null(TIME),
            version=TEXT,
            labels=_list(TEXT),
            jobs=COUNT,
            other_jobs={**BOOLEAN, "description": "its crontab differs from that of the node that answers"},
            skew={"type": ["number", "null"], "description": "seconds that its clock is ahead of the database's"},
            claims_won={**COUNT, "description": "fires that it was granted since its start"},
            claims_lost={**COUNT, "description": "fires that another node had"},
        ),
        "Run": _object("A run, a skipped fire, or a span of missed ones.", _RUN_OPTIONAL, **_RUN),
        "Triggered": _object(
            "The run that a trigger made, and what became of it.",
            _RUN_OPTIONAL,
            **_RUN,
            decision={
                **_one_of("started", "queued", "replaced", "skipped", "alive"),
                "description": "what `overlap` decided; alive: the service runs already",
            },
        ),
        "Pause": _object("That a job is paused.", since=TIME, until=_or_null(TIME), who=TEXT, why=TEXT),
        "Service": _object(
            "How a service stands.",
            job=TEXT,
            state=_one_of(*ServiceState),
            reason=TEXT,
            reason_code=TEXT,
            since=TIME,
            restarts=COUNT,
            life=_or_null({"type": "object"}),
        ),
        "Job": _object("How a job stands.", ("service",), **_JOB),
        "JobDetails": _object("All about a job.", ("service",), **_JOB, **_DETAILS),
        "Upstream": _object(
            "A job that another one runs after.",
            job=TEXT,
            succeeded={**BOOLEAN, "description": "in a run that began after the last start of the other job"},
            outcome=_or_null(_OUTCOME),
            ended=_or_null(TIME),
            reason=TEXT,
        ),
        "Stopped": _object(
            "The runs that were told to stop.",
            ("sent_to",),
            job=TEXT,
            stopped=_list(TEXT),
            sent_to={**_list(TEXT), "description": "other nodes, which do it within 5 s"},
        ),
        "Group": _object(
            "A group and its runs.",
            group=TEXT,
            limit=COUNT,
            running=_list(_object("A run.", job=TEXT, run_id=TEXT)),
            waiting=_list(_object("A run.", job=TEXT, run_id=TEXT)),
        ),
        "Fire": _object("A fire to come.", at=TIME, job=TEXT),
        "Reloaded": _object(
            "What a reload changed.", added=_list(TEXT), changed=_list(TEXT), removed=_list(TEXT), jobs=COUNT
        ),
        "Why": _object(
            "Why a job ran, or did not run.",
            ("pause",),
            job=TEXT,
            at=TIME,
            due=BOOLEAN,
            fire_at=_or_null(TIME),
            schedule=TEXT,
            words=TEXT,
            timezone=TEXT,
            clock={**TEXT, "description": "what a clock change did to that time; empty for nothing"},
            mark={**TEXT, "description": "made up, first pass or second pass; empty for none"},
            fields=_list(
                _object(
                    "One field of the schedule, what the clock showed, and whether that fits.",
                    field=TEXT,
                    text=TEXT,
                    words=TEXT,
                    value=COUNT,
                    fits=BOOLEAN,
                )
            ),
            previous_fire=_or_null(TIME),
            following_fire=_or_null(TIME),
            verdict=_one_of(
                *("not-due", "triggered", "ran", "under-way", "skipped", "missed", "paused", "not-enabled"),
                *("to-come", "before-start", "no-record", "waiting"),
            ),
            explanation=TEXT,
            run=_or_null(reference("Run")),
            pause=reference("Pause"),
        ),
        "Event": {
            "type": "object",
            "description": "One event, as in the log; see the page on events.",
            "properties": {"time": TIME, "event": _one_of(*EVENTS), "job": TEXT},
            "required": ["time", "event"],
        },
    }
)
