"""The pages: which there are, what each asks of `control`, and what the buttons do.

Questions are asked in the thread of the scheduler, which they may park. Everything that takes time is done in a thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from gcron.control import operations
from gcron.control.errors import ControlError
from gcron.control.instance import Instance
from gcron.control.messages import notifications
from gcron.control.why import why
from gcron.runtime.hub import get_hub
from gcron.scheduler.history import OutputPart, RunQuery
from gcron.scheduler.records import Record
from gcron.web import details, messages, overview, timeline
from gcron.web.access import Access
from gcron.web.answers import HTML, Answer, Refusal, compressed, own_place, redirect
from gcron.web.board import Board
from gcron.web.buttons import ASKED, press
from gcron.web.happened import Happened
from gcron.web.live import MESSAGES, Live, Reader, Rows, follow_html, json_field
from gcron.web.paging import page_number
from gcron.web.rendering import Renderer
from gcron.web.visitor import Right, Visitor

__all__ = ["Pages"]

_FAILURES_LOOKED_AT = 100
_RUNS_OF_JOB, _RUNS_OF_PAGE, _RUNS_OF_DAY = 100, 50, 2000
_MESSAGES = 500
_DAY = 86400
# Bytes of output that a page may show, from its end. All of it can be downloaded.
_OUTPUT_SHOWN = details.MOST_OUTPUT
_PIECE = 64 * 1024
# Seconds.
_HEAD_LASTS = 2.0

Query = Mapping[str, str]


class Pages:
    """The pages of one gcron, below the prefix `base`."""

    def __init__(self, gcron: Instance, base: str, access: Access, happened: Happened, most_streams: int) -> None:
        self._gcron = gcron
        self._base = base
        self._access = access
        self._happened = happened
        self._renderer = Renderer(base)
        self._board = Board(gcron)
        self._live = Live(gcron, self._make_rows, most_streams)
        self._head_text = b""
        self._head_until = float("-inf")
        self._fixed = {
            "/": self._overview,
            "/timeline": self._timeline,
            "/runs": self._runs,
            "/services": self._services,
            "/events": self._events,
            "/messages": self._messages,
            "/problems": self._problems,
            "/confirm": self._confirm,
        }

    def close(self) -> None:
        """End the streams."""
        self._live.close()
        self._renderer.close()

    def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` returns, called in a thread for pages; the caller parks."""
        return self._renderer.run(work, *arguments)

    def answer(self, path: str, query: Query, visitor: Visitor, environ: Mapping[str, Any]) -> Answer | Iterator[bytes]:
        """The page at this path, or a stream. Raises ControlError, Refusal."""
        if path == "/live":
            return self._follow_changes(query)
        if path == "/head":
            return Answer(self._head())
        kind, _, name = path.removeprefix("/").partition("/")
        if kind == "runs" and name.endswith("/follow"):
            run_id = name.removesuffix("/follow")
            operations.run(self._gcron, run_id)
            position = query.get("position", "0")
            start = int(position) if position.isascii() and position.isdigit() and len(position) < 18 else 0
            return follow_html(self._gcron, run_id, start, self._renderer.run)
        if path in self._fixed:
            template, data = self._fixed[path](query)
        elif kind == "jobs" and name:
            template, data = self._job(name, query)
        elif kind == "runs" and name:
            template, data = self._run(name)
        else:
            raise Refusal(HTTPStatus.NOT_FOUND, "no-such-page", f"there is no page {path}")
        return self._page(template, path, data, visitor, environ)

    def _page(
        self, template: str, path: str, data: dict[str, Any], visitor: Visitor, environ: Mapping[str, Any]
    ) -> Answer:
        session, said = visitor.session, ""
        headers: tuple[tuple[str, str], ...] = ()
        if session is not None:
            said = self._access.read_said(session, environ.get("HTTP_COOKIE", ""))
        if said:
            headers = (("Set-Cookie", f"{self._access.said_cookie}=; Path={self._base or '/'}; Max-Age=0"),)
        frame = {
            "path": path,
            "said": said,
            "csrf": "" if session is None else self._access.csrf_token(session),
            "may_change": visitor.right >= Right.CHANGE and session is not None,
            "instance": data.get("instance") or operations.instance(self._gcron),
            "now": self._gcron.clock.now(),
            # The key of the calendar, for those who may do everything: it could be passed on.
            "calendar_key": partial(getattr, self._access, "calendar_key") if visitor.right >= Right.CHANGE else str,
        }
        accepted = environ.get("HTTP_ACCEPT_ENCODING", "")

        def make() -> Answer:
            views = data["view"]() if "view" in data else {}
            page = self._renderer.render(template, **{**frame, **data, **views})
            return compressed(Answer(page.encode("utf-8", "replace"), HTML, headers=headers), accepted)

        answer: Answer = self._renderer.run(make)
        return answer

    # -- the pages ------------------------------------------------------------------------------------------

    def _overview(self, query: Query) -> tuple[str, dict[str, Any]]:
        jobs = self._board.records()
        instance = operations.instance(self._gcron)
        failures = self._last_failures()
        wanted = overview.Filter.read(query)
        now = self._gcron.clock.now()
        view = partial(overview.page, jobs, instance, failures, wanted, now)
        return "overview.html", {"instance": instance, "view": view}

    def _last_failures(self) -> list[Record]:
        try:
            return operations.runs(self._gcron, RunQuery(failed=True, limit=_FAILURES_LOOKED_AT))[0]
        except ControlError:
            return []  # the history does not answer; the headline says so

    def _head(self) -> bytes:
        """The headline of the overview alone, for pages that are open. All browsers ask, so it is made seldom."""
        monotonic = get_hub().monotonic
        if monotonic() >= self._head_until:
            self._head_until = monotonic() + _HEAD_LASTS
            data = self._overview({})[1]
            made = self._renderer.run(lambda: self._renderer.render("head.html", head=data["view"]()["head"]))
            self._head_text = made.encode("utf-8", "replace")
        return self._head_text

    def _job(self, name: str, query: Query) -> tuple[str, dict[str, Any]]:
        record = operations.job(self._gcron, name)
        runs, cursor = operations.runs(
            self._gcron, RunQuery(job=name, limit=_RUNS_OF_JOB, cursor=query.get("cursor", ""))
        )
        at = query.get("at", "")[:100]
        answer: Record | None = None
        problem = ""
        if at:
            try:
                answer = why(self._gcron, name, at)
            except ControlError as error:
                problem = error.detail
        view = partial(details.job_page, self._base, record, runs, self._gcron.clock.now())
        asked = {"at": at, "why": answer, "why_problem": problem}
        return "job.html", {"job": record, "runs": runs, "cursor": cursor, "view": view, **asked}

    def _run(self, run_id: str) -> tuple[str, dict[str, Any]]:
        record = operations.run(self._gcron, run_id)
        first = operations.output_part(self._gcron, run_id, -_OUTPUT_SHOWN, _PIECE)
        parts: list[OutputPart] = []
        part = first
        while part is not None and part.data:
            parts.append(part)
            if sum(len(one.data) for one in parts) >= _OUTPUT_SHOWN:
                break
            part = operations.output_part(self._gcron, run_id, part.start + len(part.data), _PIECE)
        view = partial(details.run_page, record, parts, self._gcron.clock.now())
        start = None if first is None else first.start
        return "run.html", {"run": record, "start": start, "view": view}

    def _runs(self, query: Query) -> tuple[str, dict[str, Any]]:
        only = query.get("only", "")
        outcomes = frozenset({only}) if only in ("missed", "skipped") else frozenset()
        cursor = query.get("cursor", "")
        runs, following = operations.runs(
            self._gcron, RunQuery(outcomes=outcomes, failed=only == "failed", limit=_RUNS_OF_PAGE, cursor=cursor)
        )
        view = partial(details.runs_view, runs, self._gcron.clock.now())
        return "runs.html", {"only": only, "cursor": following, "view": view}

    def _services(self, query: Query) -> tuple[str, dict[str, Any]]:
        services = operations.services(self._gcron)
        groups = operations.groups(self._gcron)
        page = page_number(query)
        return "services.html", {
            "view": partial(details.services_view, services, groups, page, self._gcron.clock.now())
        }

    def _events(self, query: Query) -> tuple[str, dict[str, Any]]:
        events = list(self._happened.records)[::-1]
        now = self._gcron.clock.now()
        return "events.html", {"view": lambda: {"events": details.events_view(events, now)}}

    def _messages(self, query: Query) -> tuple[str, dict[str, Any]]:
        told = notifications(self._gcron, _MESSAGES)
        return "messages.html", {"told": told, "view": partial(messages.page, told, query, self._gcron.clock.now())}

    def _problems(self, query: Query) -> tuple[str, dict[str, Any]]:
        reload = self._gcron.reload
        view = partial(details.problem_view, "" if reload is None else reload.problem)
        return "problems.html", {"can_reload": reload is not None, "view": view}

    def _timeline(self, query: Query) -> tuple[str, dict[str, Any]]:
        now = self._gcron.clock.now()
        if query.get("day") == "past":
            runs = self._runs_since(now - _DAY)
            view = partial(timeline.past_day, self._base, runs, now)
        else:
            scheduler = self._gcron.scheduler
            jobs = scheduler.jobs
            paused = frozenset(job.name for job in jobs if scheduler.is_paused(job.name))
            view = partial(timeline.coming_day, self._base, jobs, paused, now)
        is_past = query.get("day") == "past"
        return "timeline.html", {"is_past": is_past, "view": lambda: {"day": view()}}

    def _runs_since(self, since: float) -> list[Record]:
        found: list[Record] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < _RUNS_OF_DAY:
            runs, cursor = operations.runs(self._gcron, RunQuery(since=since, limit=500, cursor=cursor))
            found += runs
        return found

    def _confirm(self, query: Query) -> tuple[str, dict[str, Any]]:
        verb, _, name = query.get("do", "").partition(":")
        if verb not in ASKED:
            raise Refusal(HTTPStatus.NOT_FOUND, "no-such-page", "there is nothing to confirm")
        back = own_place(query.get("back", "/"))
        return "confirm.html", {"verb": verb, "name": unquote(name), "asked": ASKED[verb], "back": back}

    # -- what changes ---------------------------------------------------------------------------------------

    def _follow_changes(self, query: Query) -> Iterator[bytes]:
        page, name = query.get("page", ""), query.get("job", "")
        if page == "overview":
            wanted = overview.Filter.read(query)
            jobs = self._board.records()
            selection: overview.Selection = self._renderer.run(overview.select, jobs, wanted)
            return self._live.follow(Reader(frozenset(job["job"] for job in selection.jobs), True))
        if page == "messages":
            name = MESSAGES
        return self._live.follow(Reader(frozenset({name}) if name else None, False))

    def _make_rows(self, names: Sequence[str]) -> Rows:
        jobs = self._board.refresh(names)
        now = self._gcron.clock.now()

        def make() -> Rows:
            row = self._renderer.macro("row.html", "row")
            return {name: json_field(name, row(overview.row(job, now), True)) for name, job in jobs.items()}

        rows: Rows = self._renderer.run(make)
        return rows

    # -- buttons --------------------------------------------------------------------------------------------

    def act(self, form: Query, visitor: Visitor, environ: Mapping[str, Any]) -> Answer:
        """Do what a button says. Raises ControlError, Refusal."""
        said = press(self._gcron, form, visitor.name)
        self._board.forget()
        if "application/json" in environ.get("HTTP_ACCEPT", ""):
            return Answer(json.dumps({"said": said}).encode("ascii"), "application/json")
        headers = []
        if visitor.session is not None:
            value = self._access.said(visitor.session, said)
            where = f"Path={self._base or '/'}; Max-Age=60; HttpOnly; SameSite=Strict"
            headers.append(("Set-Cookie", f"{self._access.said_cookie}={value}; {where}"))
        return redirect(f"{self._base}{own_place(form.get('back', '/'))}", *headers)
