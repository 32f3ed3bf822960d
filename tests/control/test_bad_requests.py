"""Requests that are wrong: each gets a problem with a code, and none changes anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gcron.control.request import MOST_BODY
from tests.control.conftest import Asker

JOB = "/jobs/job"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("", "no-such-page"),
        ("/", "no-such-page"),
        ("/job", "no-such-page"),
        ("/jobs/", "no-such-page"),
        ("/jobs//runs", "no-such-page"),
        ("/jobs/a/b/c/d", "no-such-page"),
        ("/../../etc/passwd", "no-such-page"),
        ("/runs/../../etc/passwd/output", "no-such-page"),
        ("/runs/..%2f..%2fetc%2fpasswd/output", "no-such-run"),
        ("/jobs/\xff\xfe", "no-such-job"),
        ("/jobs/" + "x" * 5000, "no-such-job"),
        ("/jobs?limit=", "bad-request"),
        ("/jobs?limit=0", "bad-request"),
        ("/jobs?limit=-1", "bad-request"),
        ("/jobs?limit=501", "bad-request"),
        ("/jobs?limit=1e3", "bad-request"),
        ("/jobs?limit=" + "9" * 5000, "bad-request"),
        ("/jobs?limit=1&limit=2", "bad-request"),
        ("/jobs?limmit=1", "bad-request"),
        ("/jobs?find=%00", "bad-request"),
        ("/jobs?find=" + "x" * 2000, "bad-request"),
        ("/jobs?cursor=x", "bad-cursor"),
        ("/jobs?cursor=-1:job", "bad-cursor"),
        ("/jobs?" + "a=1&" * 100, "bad-request"),
        ("/runs?since=yesterday", "bad-request"),
        ("/runs?since=2026-01-01T00:00:00", "bad-request"),
        ("/runs?until=99999-01-01T00:00:00Z", "bad-request"),
        ("/runs?outcome=fine", "bad-request"),
        ("/runs?job=nothing", "no-such-job"),
        ("/runs/none/output?position=x", "bad-request"),
        ("/runs/none/output?follow=maybe", "bad-request"),
        ("/runs/none/output?follow=1", "no-such-run"),
        ("/runs/none/output", "no-such-run"),
        ("/events?job=nothing", "no-such-job"),
        ("/why?job=job", "bad-request"),
        ("/why?at=02:30", "bad-request"),
        ("/why?job=nothing&at=02:30", "no-such-job"),
        ("/why?job=job&at=0001-01-01T00:00:00%2B00:01", "bad-request"),
        ("/why?job=job&at=0001-01-01T00:00:00", "bad-request"),
        ("/why?job=job&at=9999-12-31T23:59:00-00:01", "bad-request"),
        ("/why?job=job&at=9999-12-31T23:59:59Z", "bad-request"),
        ("/runs?since=0001-01-01T00:00:00%2B00:01", "bad-request"),
        ("/upcoming?from=0001-01-01T00:00:00%2B00:01", "bad-request"),
        ("/upcoming?from=x", "bad-request"),
        (f"{JOB}/trigger", "method-not-allowed"),
        (f"{JOB}/pause", "method-not-allowed"),
        ("/reload", "method-not-allowed"),
    ],
)
def test_wrong_questions(api: Asker, target: str, code: str) -> None:
    api.gcron.scheduler.command("true", "@manual", name="job")
    answer = api.get(target)
    assert answer.code == code
    assert api.gcron.scheduler.running() == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "bad-request"),
        (b"nonsense", "bad-request"),
        (b"\xff\xfe", "bad-request"),
        (b"[]", "bad-request"),
        (b"null", "bad-request"),
        (b'"text"', "bad-request"),
        (b"[" * 60_000, "bad-request"),
        (b'{"for": "2h", "until": 5}', "bad-request"),
        (b'{"for": -1}', "bad-request"),
        (b'{"for": true}', "bad-request"),
        (b'{"for": 1e400}', "bad-request"),
        (b'{"for": "soon"}', "bad-request"),
        (b'{"until": "soon"}', "bad-request"),
        (b'{"until": "9999-12-31T23:59:59.999999Z"}', "bad-request"),
        (b'{"until": "9999-12-31T23:59:59-00:01"}', "bad-request"),
        (b'{"why": 5}', "bad-request"),
        (b'{"why": "\\u001b[31m"}', "bad-request"),
        (b'{"who": "root"}', "bad-request"),
        (b'{"why": "' + b"x" * 2000 + b'"}', "bad-request"),
        (b" " * (MOST_BODY + 1), "too-large"),
    ],
)
def test_wrong_bodies(api: Asker, data: bytes, code: str) -> None:
    api.gcron.scheduler.command("true", "* * * * *", name="job")
    assert api("POST", f"{JOB}/pause", data=data).code == code
    assert not api.gcron.scheduler.is_paused("job")


def test_a_body_of_another_type_is_refused(api: Asker) -> None:
    """A form of a page of somebody else can be sent without asking; JSON cannot."""
    api.gcron.scheduler.command("true", "* * * * *", name="job")
    answer = api("POST", f"{JOB}/pause", data=b"{}", headers={"CONTENT_TYPE": "text/plain"})
    assert answer.code == "bad-request"


def test_other_methods(api: Asker) -> None:
    api.gcron.scheduler.command("true", "* * * * *", name="job")
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = api(method, JOB)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    answer = api("POST", "/jobs")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert api.get(f"{JOB}/trigger").headers["Allow"] == "POST"
    head = api("HEAD", JOB)
    assert (head.status, head.headers["Content-Type"]) == (200, "application/json")
    assert api("HEAD", "/events").body == b""


def test_an_unknown_parameter_names_the_nearest_one(api: Asker) -> None:
    assert "did you mean limit?" in api.get("/jobs?limmit=1").json["detail"]


def test_a_name_that_is_not_utf8_is_named_in_the_problem(api: Asker) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    answer: Any = api.get("/jobs/caf\xe9")
    assert answer.code == "no-such-job"
    assert json.loads(answer.body)["job"] == name
