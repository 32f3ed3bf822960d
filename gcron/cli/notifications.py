"""`gcron messages`: what became of messages: for each target, and for the newest messages one by one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gcron.cli.columns import Column, print_columns
from gcron.cli.talking import ago, local_time, seconds_since, talk
from gcron.cli.terminal import print_wrapped
from gcron.control.client import Client

__all__ = ["main"]

_COUNT, _MOST = 20, 500
_NOBODY = (
    "no job has a target: # gcron-notify: NAME url=… declares one, and notify=NAME above a job names it; "
    "see gcron help notifications"
)

Record = dict[str, Any]


def main(options: argparse.Namespace) -> int:
    """Print the targets, and the newest messages, the newest last for people."""
    return talk(options, lambda client: _show(client, options))


def _show(client: Client, options: argparse.Namespace) -> int:
    told = client.get("notifications", limit=min(options.count or _COUNT, _MOST))
    if options.json:
        print(json.dumps(told))
        return 0
    if not told["targets"]:
        print_wrapped(_NOBODY)
        return 0
    now = client.get("instance")["now"]
    print_columns(_TARGETS, [_target_row(target, now) for target in told["targets"]])
    if told["messages"]:
        print()
        print_columns(_MESSAGES, [_message_row(message) for message in reversed(told["messages"])])
    return 0


_TARGETS = (
    Column("TARGET", 10),
    Column("WHERE", 10, leaves=2),
    Column("SENT", 4),
    Column("WAITING", 7),
    Column("GIVEN UP", 8, style=lambda cell: "" if cell == "0" else "yellow"),
    Column("LAST", 4, leaves=3),
    Column("NEXT TRY", 8, leaves=1),
    Column("LAST ERROR", 12, style=lambda cell: "red"),
)
_LOOKS = {"delivered": "green", "given up": "red", "dropped": "red", "tried again": "yellow"}
_MESSAGES = (
    Column("WHEN", 19),
    Column("TARGET", 8),
    Column("MESSAGE", 16),
    Column("STATE", 9, style=lambda cell: _LOOKS.get(cell, "")),
    Column("TRIES", 5, leaves=1),
    Column("ERROR", 12, leaves=2),
)


def _target_row(target: Record, now: str) -> list[str]:
    next_try = target["next_try"] if target["failing"] and target["waiting"] else None
    return [
        target["target"],
        target["where"] or "gone",
        str(target["sent"]),
        str(target["waiting"]),
        str(target["given_up"]),
        "-" if target["last_sent"] is None else ago(seconds_since(target["last_sent"], now)),
        "" if next_try is None else f"in {ago(max(0.0, seconds_since(now, next_try)))}",
        target["last_error"],
    ]


def _message_row(message: Record) -> list[str]:
    state = message["state"].replace("-", " ")
    if state == "waiting" and message["error"]:
        state = "tried again"
    return [
        local_time(message["time"]),
        message["target"],
        f"{message['kind']}: {message['title']}",
        state,
        str(message["attempts"]),
        message["error"],
    ]
