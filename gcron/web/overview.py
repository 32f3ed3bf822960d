"""What the overview shows: which jobs, in which order, and a headline. Pure: records in, data of a template out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gcron.control.node_words import node_problem, node_problems
from gcron.escaping import escape_line
from gcron.frozen import frozen
from gcron.scheduler.records import Record
from gcron.web.paging import items_on, page_count, page_number
from gcron.web.standing import RANKS, Standing, standing_of
from gcron.web.strips import strip
from gcron.web.words import ago, outcome_word, seconds_of, short_exact, span, until
from gcron.wording import plural

__all__ = ["PAGE", "Filter", "Selection", "headline", "page", "row", "select"]

PAGE = 150
"""Jobs on one page: it stays below 100 KB, also with long names and when all fail."""
_NAMED = 3

View = dict[str, Any]


@frozen
class Filter:
    """What of the jobs to show, and in which order: the query of the page."""

    text: str = ""
    state: str = ""
    """A word of `Standing`."""
    crontab: str = ""
    sort: str = "worst"
    page: int = 1

    @staticmethod
    def read(query: Mapping[str, str]) -> Filter:
        """Read a query. What means nothing is as if it were not there."""
        return Filter(
            query.get("q", "").strip()[:200],
            query.get("state", "") if query.get("state") in _WORDS else "",
            query.get("crontab", "")[:1000],
            query.get("sort", "") if query.get("sort") in SORTS else "worst",
            page_number(query),
        )

    def query(self, **changes: Any) -> str:
        """The query of the page with these fields instead; `page` begins anew."""
        fields = {"q": self.text, "state": self.state, "crontab": self.crontab, "sort": self.sort, "page": 1} | changes
        defaults = {"q": "", "state": "", "crontab": "", "sort": "worst", "page": 1}
        text = urlencode({name: value for name, value in fields.items() if value != defaults[name]}, errors="replace")
        return f"?{text}" if text else "?"


Standings = Mapping[str, Standing]
"""How each job stands, by its name."""

_FAILING = frozenset({Standing.FAILING, Standing.OVERDUE, Standing.GIVEN_UP})
_WORDS = {standing.word for standing in Standing}
_LATE = 1e12


def _by_next(job: Record) -> Any:
    return seconds_of(job["next_fire"]) if job["next_fire"] else _LATE


def _by_last(job: Record) -> Any:
    return 0.0 if job["running"] else -seconds_of(job["last_ended"]) if job["last_ended"] else _LATE


SORTS: Mapping[str, tuple[str, Callable[[Record, Standing], Any]]] = {
    "worst": ("worst first", lambda job, standing: RANKS[standing]),
    "name": ("by name", lambda job, standing: job["job"].lower()),
    "next": ("next first", lambda job, standing: _by_next(job)),
    "last": ("last run first", lambda job, standing: _by_last(job)),
    "longest": ("longest first", lambda job, standing: -(job["last_duration"] or 0.0)),
    "file": ("as in the crontab", lambda job, standing: 0),
}
"""The orders, with their words. Each is stable: equal jobs stay in the order of the crontab."""


@frozen
class Selection:
    """A page of jobs."""

    jobs: tuple[Record, ...]
    found: int
    """How many there are on all pages."""
    pages: int


def select(jobs: Sequence[Record], wanted: Filter) -> Selection:
    """The jobs of a page."""
    return _select(jobs, _standings_of(jobs), wanted)


def _standings_of(jobs: Sequence[Record]) -> Standings:
    return {job["job"]: standing_of(job) for job in jobs}


def _select(jobs: Sequence[Record], standings: Standings, wanted: Filter) -> Selection:
    text = wanted.text.lower()
    found = [
        job
        for job in jobs
        if (not text or text in f"{job['job']} {job['schedule']} {job['description']}".lower())
        and (not wanted.state or standings[job["job"]].word == wanted.state)
        and (not wanted.crontab or crontab_of(job) == wanted.crontab)
    ]
    _, order = SORTS[wanted.sort]
    found.sort(key=lambda job: order(job, standings[job["job"]]))
    return Selection(tuple(items_on(wanted.page, found, PAGE)), len(found), page_count(len(found), PAGE))


def page(jobs: Sequence[Record], instance: Record, failures: Sequence[Record], wanted: Filter, now: float) -> View:
    """All of the page."""
    standings = _standings_of(jobs)
    selection = _select(jobs, standings, wanted)
    return {
        "head": headline(jobs, standings, instance, failures, now),
        "rows": [row(job, now) for job in selection.jobs],
        "selection": selection,
        "wanted": wanted,
        "counts": counts_of(standings),
        "crontabs": sorted({crontab_of(job) for job in jobs}),
        "sorts": {name: words for name, (words, _) in SORTS.items()},
        "total": len(jobs),
        "nodes": nodes_view(instance["nodes"], jobs, now),
    }


def crontab_of(job: Record) -> str:
    """The file in which a job stands."""
    path: str = job["source"].rpartition(":")[0]
    return path


def counts_of(standings: Standings) -> list[tuple[Standing, int]]:
    """How many jobs stand in each way, the worst first; without zeros."""
    counts = Counter(standings.values())
    return [(standing, counts[standing]) for standing in Standing if counts[standing]]


def nodes_view(nodes: Sequence[Record], jobs: Sequence[Record], now: float) -> list[View]:
    """The nodes that share the jobs; empty for one alone."""
    if len(nodes) < 2:
        return []
    running = Counter(run.get("node", "") for job in jobs for run in job["running"])
    views = []
    for node in nodes:
        problem = node_problem(node)
        beat = None if node["last_beat"] is None else int(seconds_of(node["last_beat"]))
        views.append(
            {
                "name": node["node"],
                "is_self": node["self"],
                "labels": ", ".join(node["labels"]),
                "look": "bad" if not node["up"] else "warn" if problem else "ok",
                "word": "up" if node["up"] else "down",
                "problem": problem if node["up"] else "",
                "t": beat,
                "text": "" if beat is None else ago(now - beat),
                "jobs": node["jobs"],
                "running": running[node["node"]],
                "clock": "" if node["skew"] is None else f"{node['skew']:+.1f} s",
                "won": node["claims_won"],
                "lost": node["claims_lost"],
            }
        )
    return views


# -- the headline -------------------------------------------------------------------------------------------------


def headline(
    jobs: Sequence[Record], standings: Standings, instance: Record, failures: Sequence[Record], now: float
) -> View:
    """What a person wants to know first. `failures`: the last runs that failed, newest first."""
    failing = [job for job in jobs if standings[job["job"]] in _FAILING]
    running = sum(bool(job["running"]) for job in jobs if "service" not in job)
    upcoming = min((job for job in jobs if job["next_fire"]), key=_by_next, default=None)
    facts = [plural(len(jobs), "job"), f"{running} running"]
    if upcoming is not None:
        facts.append(f"next {escape_line(upcoming['job'])} {until(_by_next(upcoming) - now)}")
    if not failing:
        has_run = any(job["recent"] or job["running"] for job in jobs)
        look, title = ("ok", "All well") if has_run else ("new", "Nothing has run yet")
        return {"look": look, "title": title, "details": [" · ".join(facts)], "warnings": _warnings(instance)}
    names = ", ".join(job["job"] for job in failing[:_NAMED])
    if len(failing) > _NAMED:
        names += f" and {len(failing) - _NAMED} more"
    verb = "does not succeed" if len(failing) == 1 else "do not succeed"
    return {
        "look": "bad",
        "title": f"{names} {verb}",
        "details": [*_since(failing, now), *_alike(failing, failures), " · ".join(facts)],
        "warnings": _warnings(instance),
    }


def _since(failing: Sequence[Record], now: float) -> list[str]:
    successes = [seconds_of(job["last_success"]) for job in failing if job["last_success"]]
    if len(failing) == 1:
        return [f"Last success {ago(now - successes[0])}" if successes else "It has never succeeded"]
    never = len(failing) - len(successes)
    texts = [f"The first to fail succeeded last {ago(now - min(successes))}"] if successes else []
    return [*texts, f"{never} never succeeded"] if never else texts


def _alike(failing: Sequence[Record], failures: Sequence[Record]) -> list[str]:
    """Whether several fail for the same reason: then there is one cause."""
    reasons: dict[str, str] = {}
    for run in failures:
        reasons.setdefault(run["job"], run["reason"])
    names = [job["job"] for job in failing]
    ((reason, count),) = Counter(reasons.get(name, "") for name in names).most_common(1)
    if not reason:
        return []
    if len(names) == 1:
        return [reason[:1].upper() + reason[1:]]
    return [f"{count} of them alike: {reason}"] if count > 1 else []


def _warnings(instance: Record) -> list[str]:
    texts = []
    if instance["stopping"]:
        texts.append("gcron is stopping: no job starts any more")
    if (instance["reload"] or {}).get("problem"):
        texts.append("The crontab on disk is wrong, and the jobs of before go on: see Problems")
    texts += [f"N{text[1:]}" for text in node_problems(instance["nodes"])]
    if instance["store"]["problem"]:
        texts.append(f"The history does not work: {instance['store']['problem']}")
    if failing := [counts["target"] for counts in instance["messages"] if counts["failing"]]:
        more = f" and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
        texts.append(f"Messages do not get through to {', '.join(failing[:_NAMED])}{more}: see Messages")
    return texts


# -- a row --------------------------------------------------------------------------------------------------------


def row(job: Record, now: float) -> View:
    """A row of the table."""
    standing = standing_of(job)
    view: View = {
        "job": job["job"],
        "look": standing.look,
        "word": standing.word,
        "schedule": job["schedule"],
        "strip": strip(job["recent"], job["recent_durations"]),
        "is_service": "service" in job,
        "runs": bool(job["running"]),
        "paused": job["paused"],
        "service": job.get("service"),
        "last": _last(job, now),
        "next": None,
    }
    if job["next_fire"]:
        at = seconds_of(job["next_fire"])
        view["next"] = {"t": int(at), "text": until(at - now), "exact": short_exact(job["next_fire"], now)}
    elif job["pause"] is not None and job["pause"]["until"]:
        at = seconds_of(job["pause"]["until"])
        view["next"] = {"t": int(at), "text": until(at - now), "exact": "paused until then"}
    return view


def _last(job: Record, now: float) -> View | None:
    """What is under way, or how the last run went."""
    if job["running"]:
        run = job["running"][0]
        began = seconds_of(run["started"] or run["created"])
        look, word = outcome_word(run)
        return {"look": look, "word": word, "since": int(began), "text": span(int(max(0.0, now - began)))}
    if not job["recent"] or job["last_ended"] is None:
        return None
    look, word = outcome_word({"outcome": job["recent"][-1]})
    ended = seconds_of(job["last_ended"])
    took = "" if look in ("skip", "warn") else span(job["last_duration"])
    return {"look": look, "word": word, "t": int(ended), "text": ago(now - ended), "took": took}
