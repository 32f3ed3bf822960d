"""Notifications as a part of the daemon: loaded when the first job asks for messages, and told of reloads."""

from __future__ import annotations

from datetime import tzinfo
from importlib import import_module
from typing import TYPE_CHECKING

from gcron.notify.mailer import Mailer
from gcron.notify.routes import has_routes
from gcron.runtime.greenlet import spawn
from gcron.runtime.hub import get_hub

if TYPE_CHECKING:
    from gcron.daemon.daemon import Daemon
    from gcron.notify.channel import TargetCounts
    from gcron.notify.notifications import Notifications
    from gcron.notify.store import MessageStore

__all__ = ["Notifying"]

_ROOM = "gcron.notify.notifications"


class Notifying:
    """Sends messages about the daemon's jobs; mail by `mailer`. Times in messages are in `zone`.

    `store`: keeps what is not delivered over a restart; without one it is lost then.
    """

    def __init__(
        self,
        daemon: Daemon,
        mailer: Mailer | None,
        zone: tzinfo,
        trusted_owners: frozenset[int] = frozenset(),
        store: MessageStore | None = None,
    ) -> None:
        self._daemon = daemon
        self._mailer = mailer
        self._zone = zone
        self._trusted_owners = trusted_owners
        self._store = store
        self._notifications: Notifications | None = None
        self._is_stopped = False
        daemon.follow_reloads(self._follow)

    def start(self) -> None:
        """Begin, if a job asks for messages. Without one, nothing is loaded: that would delay the start."""
        if self._is_asked_for():
            self._begin()

    def stop(self) -> None:
        """Deliver what waits, within 5 s."""
        self._is_stopped = True
        if self._notifications is not None:
            self._notifications.stop()

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target."""
        return [] if self._notifications is None else self._notifications.counts()

    def _is_asked_for(self) -> bool:
        return any(has_routes(job) for job in self._daemon.scheduler.jobs)

    def _follow(self, problem: str) -> None:
        if self._notifications is not None:
            self._notifications.report_reload(problem)
        elif self._is_asked_for():
            spawn(self._load_and_begin)

    def _load_and_begin(self) -> None:
        get_hub().threadpool.spawn(import_module, _ROOM).get()
        if self._notifications is None and not self._is_stopped:
            self._begin()

    def _begin(self) -> None:
        from gcron.notify.notifications import Notifications
        from gcron.notify.senders import SenderSettings

        daemon = self._daemon
        settings = SenderSettings(daemon.clock, daemon.show, self._mailer, self._trusted_owners)
        self._notifications = Notifications(
            daemon.scheduler, daemon.clock, lambda text: daemon.say(text, "error"), settings, self._zone, self._store
        )
        self._notifications.start()
