"""What the buttons of the pages do: one row each. The value of a button is its verb, a colon, and a name in quotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import unquote

from gcron.control import actions
from gcron.control.instance import Instance
from gcron.control.request import read_duration, read_text
from gcron.web.answers import Refusal

__all__ = ["ASKED", "press"]

Form = Mapping[str, str]

ASKED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "stop-job": ("End all runs of", "They are asked to end by their stop signal, and killed after their grace."),
        "kill-job": ("Kill all runs of", "They get no chance to finish their work."),
        "stop-run": ("End the run", "It is asked to end by its stop signal, and killed after its grace."),
        "kill-run": ("Kill the run", "It gets no chance to finish its work."),
        "stop": ("Stop the service", "It stays stopped until somebody starts it."),
        "restart": ("Restart the service", "What it does now ends."),
    }
)
"""Buttons that end something, with the question that comes first."""
_DECISIONS = {
    "started": "{} has started",
    "skipped": "{} was skipped: a run is under way, and overlap=skip",
    "queued": "{} waits for the run that is under way",
    "replaced": "{} has started again; the run before was told to end",
    "alive": "{} runs already",
}


def press(gcron: Instance, form: Form, who: str) -> str:
    """Do what the button says; return what happened. Raises ControlError, Refusal."""
    verb, _, quoted = form.get("do", "").partition(":")
    name = unquote(quoted, errors="surrogateescape")
    if verb not in _ACTIONS and verb != "pause":
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad-request", "there is no such button")
    try:
        why = read_text(form.get("why", ""))
        seconds = read_duration(form["for"]) if form.get("for") else None
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad-request", str(error)) from None
    if verb == "pause":
        until = None if seconds is None else gcron.clock.now() + seconds
        actions.pause(gcron, name, until, who, why)
        return f"{name} is paused" + ("" if seconds is None else f" for {form['for']}")
    return _ACTIONS[verb](gcron, name, who, why)


def _trigger(gcron: Instance, name: str, who: str, why: str) -> str:
    record = actions.trigger(gcron, name, who, why)
    return _DECISIONS[record["decision"]].format(name)


def _resume(gcron: Instance, name: str, who: str, why: str) -> str:
    actions.resume(gcron, name, who)
    return f"{name} is due again"


def _reload(gcron: Instance, name: str, who: str, why: str) -> str:
    done = actions.reload(gcron, who)
    parts = [f"{len(done[key])} {key}" for key in ("added", "changed", "removed") if done[key]]
    return "The crontabs were read again: " + (", ".join(parts) or "nothing has changed")


def _said(action: Callable[..., object], text: str) -> Callable[[Instance, str, str, str], str]:
    def act(gcron: Instance, name: str, who: str, why: str) -> str:
        action(gcron, name, who, why)
        return text.format(name)

    return act


def _kill_job(gcron: Instance, name: str, who: str, why: str) -> object:
    return actions.stop_job(gcron, name, who, why, now=True)


_ACTIONS: Mapping[str, Callable[[Instance, str, str, str], str]] = {
    "run": _trigger,
    "resume": _resume,
    "reload": _reload,
    "stop-job": _said(actions.stop_job, "The runs of {} were told to end"),
    "kill-job": _said(_kill_job, "The runs of {} are killed"),
    "stop-run": _said(actions.stop_run, "The run {} was told to end"),
    "kill-run": _said(actions.kill_run, "The run {} is killed"),
    "start": _said(actions.start_service, "{} starts"),
    "stop": _said(actions.stop_service, "{} was told to end"),
    "restart": _said(actions.restart_service, "{} starts again"),
}
