"""The OpenAPI document: it is valid, and every real answer is as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from gcron.control.api import PREFIX
from gcron.control.endpoints import ENDPOINTS
from gcron.control.errors import STATUS_OF
from gcron.control.instance import Instance
from gcron.frozen import replace
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.scheduler.messages import MessageState
from gcron.state.memory import MemoryStore
from tests.control.conftest import Asker
from tests.waiting import until


class Reloader:
    """A reload that has changed something, or has found something wrong."""

    last_read = 1.5
    reading_since = None

    def __init__(self) -> None:
        self.problem = ""
        self.added, self.changed, self.removed = ("new",), (), ("old",)

    def reload(self, who: str) -> Reloader:
        return self


@pytest.fixture
def real(make_scheduler: Callable[..., tuple[Scheduler, Any]]) -> Asker:
    """The API of a scheduler with all kinds of jobs, on the machine's clock, after some runs."""
    scheduler, _ = make_scheduler(state=MemoryStore())
    scheduler.group("few", limit=1)
    scheduler.command("echo out; exit 3", "30 2 * * mon", name="fails", description="for tests", success_codes="0,1")
    scheduler.command("echo out", "@every 90s", name="works", group="few", timeout="5s", expect_within="1h")
    scheduler.command("sleep 100", "@manual", name="long", group="few")
    scheduler.command("sleep 100", "@manual", name="waits", group="few")
    scheduler.command("true", "@reboot", name="once")
    scheduler.job("0 0 1 1 *", name="python", enabled=False, greenlet=True)(lambda: None)
    scheduler.service("sleep 100", name="web")
    scheduler.command("true", "@after works,fails", name="chained")
    scheduler.notify("http://127.0.0.1:1/hook", on="failure", quiet="22:00-07:00")  # nobody listens there
    scheduler.command("false", "@manual", name="tells", on_failure="exit 7")
    asker = Asker(Instance(scheduler, "test", ("crontab",), Reloader(), scheduler.clock.now(), scheduler.clock))
    scheduler.start()
    scheduler.trigger("fails").result.get(timeout=60)
    scheduler.trigger("works").result.get(timeout=60)
    scheduler.trigger("tells").result.get(timeout=60)
    until(lambda: {message.state for message in scheduler.recent_messages} >= {MessageState.GIVEN_UP}, "the command")
    scheduler.trigger("long")
    scheduler.trigger("long")  # is skipped
    scheduler.trigger("waits")
    until(lambda: len(scheduler.groups[0].waiting) == 1)
    scheduler.pause("fails", who="ann", why="a test")
    sleep(0)
    return asker


def test_the_document_is_valid_openapi(api: Asker) -> None:
    document = api.get("/openapi.json").json
    validate(document)
    assert document["servers"] == [{"url": PREFIX}]
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


def test_real_answers_are_as_the_document_says(real: Asker) -> None:
    """Each endpoint is asked at least once; each field of an answer is in its schema, and none is missing."""
    document = real.get("/openapi.json").json
    runs = real.get("/runs").json["runs"]
    long = next(run["run_id"] for run in runs if run["job"] == "long" and run["outcome"] is None)
    ended = next(run["run_id"] for run in runs if run["job"] == "fails")
    asked: list[tuple[str, str, str, dict[str, Any]]] = [
        ("GET", "/instance", "/instance", {}),
        ("GET", "/jobs", "/jobs?limit=100", {}),
        ("GET", "/jobs", "/jobs?find=fail", {}),
        *(("GET", "/jobs/{name}", f"/jobs/{name}", {}) for name in ("fails", "works", "web", "python", "once", "long")),
        ("GET", "/jobs/{name}", "/jobs/chained", {}),
        ("GET", "/jobs/{name}/runs", "/jobs/fails/runs?outcome=failed", {}),
        ("GET", "/runs", "/runs?limit=2", {}),
        ("GET", "/runs/{run_id}", f"/runs/{ended}", {}),
        ("GET", "/runs/{run_id}", f"/runs/{long}", {}),
        ("GET", "/services", "/services", {}),
        ("GET", "/groups", "/groups", {}),
        ("GET", "/nodes", "/nodes", {}),
        ("GET", "/notifications", "/notifications?limit=5", {}),
        ("GET", "/upcoming", "/upcoming?limit=5", {}),
        ("GET", "/why", "/why?job=fails&at=02:30", {}),
        ("GET", "/why", "/why?job=works&at=now", {}),
        ("GET", "/why", "/why?job=chained&at=now", {}),
        ("POST", "/jobs/{name}/trigger", "/jobs/works/trigger", {"why": "a test"}),
        ("POST", "/jobs/{name}/trigger", "/jobs/long/trigger", {}),
        ("POST", "/jobs/{name}/trigger", "/jobs/web/trigger", {}),
        ("POST", "/jobs/{name}/pause", "/jobs/works/pause", {"for": "2h", "why": "a test"}),
        ("POST", "/jobs/{name}/resume", "/jobs/works/resume", {}),
        ("POST", "/runs/{run_id}/stop", f"/runs/{long}/stop", {}),
        ("POST", "/runs/{run_id}/kill", f"/runs/{long}/kill", {}),
        ("POST", "/jobs/{name}/stop", "/jobs/waits/stop", {"now": True}),
        ("POST", "/jobs/{name}/stop", "/jobs/web/stop", {}),
        ("POST", "/services/{name}/start", "/services/web/start", {}),
        ("POST", "/services/{name}/restart", "/services/web/restart", {"why": "a test"}),
        ("POST", "/services/{name}/stop", "/services/web/stop", {}),
        ("POST", "/reload", "/reload", {}),
    ]
    for method, path, target, body in asked:
        answer = real(method, target, body=body or None)
        assert answer.status == 200, (target, answer.body)
        content = document["paths"][path][method.lower()]["responses"]["200"]["content"]
        check(answer.json, content["application/json"]["schema"], document, target)
    streams = {("GET", "/runs/{run_id}/output"), ("GET", "/events")}
    assert {(method, path) for method, path, _, _ in asked} | streams == {(row.method, row.path) for row in ENDPOINTS}


def test_problems_are_as_the_document_says(real: Asker) -> None:
    document = real.get("/openapi.json").json
    problem = {"$ref": "#/components/schemas/Problem"}
    for method, target, status in (
        ("GET", "/jobs/fail", 404),
        ("GET", "/runs/none", 404),
        ("GET", "/jobs?limit=0", 400),
        ("GET", "/nothing", 404),
        ("GET", "/reload", 405),
        ("POST", "/services/fails/stop", 409),
    ):
        answer = real(method, target)
        assert answer.status == status == answer.json["status"], target
        assert STATUS_OF[answer.code] == status
        check(answer.json, problem, document, target)


def check(answer: Any, schema: dict[str, Any], document: dict[str, Any], target: str) -> None:
    whole = {**schema, "components": document["components"]}
    for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(answer):
        raise AssertionError(f"{target}: {error.json_path}: {error.message}")


def test_a_wrong_answer_is_found(real: Asker) -> None:
    """The check of the tests above can fail."""
    document = real.get("/openapi.json").json
    answer = real.get("/instance").json
    for wrong in (
        {**answer, "pid": "1"},
        {**answer, "more": 1},
        {key: answer[key] for key in answer if key != "since"},
    ):
        with pytest.raises(AssertionError):
            check(wrong, {"$ref": "#/components/schemas/Instance"}, document, "")


def test_a_wrong_crontab_is_a_problem_with_all_that_is_wrong(real: Asker) -> None:
    reloader = Reloader()
    reloader.problem = "crontab:1:1: error: this is no schedule"
    asker = Asker(replace(real.gcron, reload=reloader))
    answer = asker.post("/reload")
    assert (answer.status, answer.code) == (422, "reload-failed")
    assert answer.json["problem"] == reloader.problem
    assert asker.get("/instance").json["reload"]["problem"] == reloader.problem
    assert Asker(replace(real.gcron, reload=None)).post("/reload").code == "cannot-reload"
