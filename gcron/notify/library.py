"""Notifications in a program: what `Scheduler.notify` makes. What goes wrong is in `logging.getLogger("gcron")`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gcron.crontab import Target
from gcron.crontab.target import NOTIFY_KEEP, TARGET_OPTIONS, target_of
from gcron.errors import ArgumentError
from gcron.notify.channel import Patience
from gcron.notify.mailer import default_mailer, read_mailer
from gcron.notify.notifications import Notifications
from gcron.notify.secrets import shown_url
from gcron.notify.senders import SenderSettings
from gcron.notify.store import messages_of
from gcron.policy import nearest
from gcron.schedule.clock import Clock
from gcron.scheduler import JobEvent, JobOutput, Scheduler

__all__ = ["ProgramNotifications", "make_messenger"]

_logger = logging.getLogger("gcron")


def make_messenger(scheduler: Scheduler, clock: Clock, mailer: str | None, keep: object) -> ProgramNotifications:
    """Return the notifications of a program's scheduler.

    `keep`: for how long a message is tried, in seconds or as a text; None: a day. Raises ArgumentError for a wrong
    mailer, PolicyError for a wrong `keep`.
    """
    settings = SenderSettings(clock, _log_output, default_mailer() if mailer is None else read_mailer(mailer))
    patience = Patience() if keep is None else Patience(keep=NOTIFY_KEEP.read(keep))
    store = messages_of(scheduler)
    return ProgramNotifications(scheduler, clock, _logger.error, settings, store=store, patience=patience)


class ProgramNotifications(Notifications):
    """Notifications whose targets a program names."""

    def add_url(self, url: str, name: str | None, settings: Mapping[str, Any]) -> None:
        """Send messages to a URL: about all jobs, or with a `name` about those whose `notify` has it.

        Raises ArgumentError for a setting that does not exist, and PolicyError for a wrong value.
        """
        target = _target_of(url, name or self._free_name(url), settings)
        if name is None:
            self.add(target)
        else:
            self.add_named(target)

    def _free_name(self, url: str) -> str:
        shown = shown_url(url)
        return shown if shown not in self.names else f"{shown} ({len(self.names) + 1})"


def _target_of(url: str, name: str, settings: Mapping[str, Any]) -> Target:
    options: dict[str, object] = {"url": TARGET_OPTIONS["url"].read(url)}
    for key, value in settings.items():
        option = TARGET_OPTIONS.get(key.replace("_", "-"))
        if option is None or option.name in ("url", "url-file", "ping"):
            known = [each.attribute for each in TARGET_OPTIONS.values()]
            raise ArgumentError(f"notify() has no setting {key!r} ({nearest(key, known)})")
        options[option.name] = option.read(value)
    return target_of(name, options)


def _log_output(event: JobEvent) -> None:
    if isinstance(event, JobOutput):
        for line in event.lines:
            _logger.info("%s: %s", event.job, line.decode("utf-8", "backslashreplace"))
