"""What the page of messages shows: targets, and the newest messages. Pure: records in, data of a template out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from gcron.scheduler.records import Record
from gcron.web.paging import items_on, page_count
from gcron.web.words import ago, exact, seconds_of, short_exact, until

__all__ = ["PAGE", "page"]

View = dict[str, Any]

PAGE = 50
"""Messages on one page."""
_MOST_TARGETS = 40
_LONGEST = 120
_STATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "delivered": ("ok", "delivered"),
        "waiting": ("wait", "waiting"),
        "held": ("wait", "held for a digest"),
        "given-up": ("bad", "given up"),
        "dropped": ("warn", "dropped"),
    }
)
"""States of messages, with the class of their look, and their words."""
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "apprise": "through Apprise",
        "unknown": "read when a message is sent",
        "gone": "no longer in the crontab",
    }
)


def page(told: Record, query: Mapping[str, str], now: float) -> View:
    """All of the page. `query`: of the URL; what means nothing in it is as if it were not there."""
    targets = sorted(told["targets"], key=lambda target: not target["failing"])
    state = query.get("state", "") if query.get("state") in _STATES else ""
    found = [message for message in told["messages"] if state in ("", message["state"])]
    pages = page_count(len(found), PAGE)
    number = query.get("page", "")[:4]
    at = min(max(int(number), 1), pages) if number.isascii() and number.isdigit() else 1
    counts = Counter(message["state"] for message in told["messages"])
    return {
        "failing": [target["target"] for target in targets if target["failing"]],
        "targets": [_target(target, now) for target in targets[:_MOST_TARGETS]],
        "more_targets": max(0, len(targets) - _MOST_TARGETS),
        "messages": [_message(message, now) for message in items_on(at, found, PAGE)],
        "state": state,
        "states": [(name, look, words, counts[name]) for name, (look, words) in _STATES.items() if counts[name]],
        "total": len(told["messages"]),
        "page": at,
        "pages": pages,
        "earlier": _link(state, at - 1),
        "later": _link(state, at + 1),
    }


def _link(state: str, page: int) -> str:
    return "?" + urlencode(({"state": state} if state else {}) | ({"page": page} if page > 1 else {}))


def _target(target: Record, now: float) -> View:
    look, word = "new", "nothing sent yet"
    if target["failing"]:
        look, word = "bad", "fails"
    elif target["waiting"]:
        look, word = "wait", "waiting"
    elif target["sent"]:
        look, word = "ok", "ok"
    elif target["given_up"]:
        look, word = "warn", "given up"
    is_trying = target["failing"] and target["waiting"]
    return {
        "target": target["target"],
        "look": look,
        "word": word,
        "kind": _KINDS.get(target["kind"], target["kind"]),
        "where": target["where"],
        "gets": _gets(target),
        "numbers": _numbers(target, now),
        "last": _time(target["last_sent"], now),
        "error": _short(target["last_error"]),
        "error_at": _time(target["last_error_at"], now),
        "next": _time(target["next_try"], now) if is_trying else None,
    }


def _gets(target: Record) -> str:
    parts = [", ".join(target["on"])]
    if target["jobs"] is not None and target["kind"] != "command":
        parts.append("no job asks for it" if not target["jobs"] else _count(target["jobs"], "job"))
    if target["quiet"]:
        parts.append(f"quiet {target['quiet']}")
    return " · ".join(filter(None, parts))


def _numbers(target: Record, now: float) -> Sequence[str]:
    """The counts that are not zero, but always that of the delivered ones."""
    texts = [f"{target['sent']:,} delivered"]
    if waiting := target["waiting"] - target["held"]:
        texts.append(f"{waiting:,} waiting")
    if target["held"]:
        due = "" if target["held_until"] is None else f" until {short_exact(target['held_until'], now)}"
        texts.append(f"{target['held']:,} held for a digest{due}")
    if target["failed_tries"]:
        texts.append(f"{_count(target['failed_tries'], 'failed try', 'failed tries')}")
    if given_up := target["given_up"] - target["dropped"]:
        texts.append(f"{given_up:,} given up")
    if target["dropped"]:
        texts.append(f"{target['dropped']:,} dropped")
    return texts


def _message(message: Record, now: float) -> View:
    look, word = _STATES[message["state"]]
    if message["state"] == "waiting" and message["error"]:
        look, word = "warn", "tried again"
    return {
        "job": message["job"],
        "kind": message["kind"],
        "title": _short(message["title"]),
        "target": message["target"],
        "look": look,
        "word": word,
        "attempts": message["attempts"],
        "error": _short(message["error"]),
        "time": _time(message["time"], now),
        "next": _time(message["next_try"], now),
        "from_before": message["from_before"],
    }


def _time(time: str | None, now: float) -> View | None:
    if time is None:
        return None
    at = seconds_of(time)
    return {"t": int(at), "text": ago(now - at) if at <= now else until(at - now), "exact": exact(time)}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
