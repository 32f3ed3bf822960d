"""Notifications as a part of the daemon: loaded when the first job asks for messages, and told of reloads."""

from __future__ import annotations

from contextlib import suppress
from datetime import tzinfo
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from gcron.notify.mailer import Mailer
from gcron.notify.routes import has_routes
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.scheduler.door import StoreUnavailable

if TYPE_CHECKING:
    from gcron.daemon.daemon import Daemon
    from gcron.notify.delivery import Call
    from gcron.notify.notifications import Notifications
    from gcron.scheduler.messages import RecentMessage, TargetCounts

__all__ = ["Notifying"]

_ROOM = "gcron.notify.notifications"
# Seconds from the start to a look at messages that nobody asks for any more, so that it delays no first fire.
_LOOK_AFTER = 1.0


class Notifying:
    """Sends messages about the daemon's jobs; mail by `mailer`. Times in messages are in `zone`.

    `keep`: seconds after which a message is given up. What is not delivered is kept in the state of the scheduler.
    """

    def __init__(
        self,
        daemon: Daemon,
        mailer: Mailer | None,
        zone: tzinfo,
        trusted_owners: frozenset[int] = frozenset(),
        keep: float | None = None,
    ) -> None:
        self._daemon = daemon
        self._mailer = mailer
        self._zone = zone
        self._trusted_owners = trusted_owners
        self._keep = keep
        self._notifications: Notifications | None = None
        self._is_stopped = False
        self._problem = ""
        """Of the last reload, which may come while notifications are loaded."""
        self._looker: Greenlet | None = None
        self._look: Call | None = None
        self._missing: frozenset[str] = frozenset()
        """What was warned about: files of targets that cannot be read."""
        daemon.follow_reloads(self._follow)
        # The scheduler stops it, before the store is closed: what is delivered in the end is not to be sent again.
        daemon.scheduler.use_messenger(self)

    def start(self) -> None:
        """Begin, if a job asks for messages. Without one, nothing is loaded: that would delay the start."""
        if self._notifications is not None:
            return
        if self._is_asked_for():
            self._begin()
            spawn(self._warn_of_files)
        elif self._daemon.scheduler.store.store.is_durable:
            self._looker = spawn(self._look_for_kept)

    def _look_for_kept(self) -> None:
        """Begin also if an earlier gcron left messages: they are given up, and the log says so."""
        sleep(_LOOK_AFTER)
        with suppress(StoreUnavailable):
            if self._daemon.scheduler.store.list_messages():
                self._load_and_begin()

    def stop(self) -> None:
        """Deliver what waits, within 5 s. Called by the scheduler, and with all parts of the daemon."""
        if self._looker is not None:
            self._looker.kill()
        was_stopped, self._is_stopped = self._is_stopped, True
        if self._notifications is not None and not was_stopped:
            self._notifications.stop()

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target."""
        return [] if self._notifications is None else self._notifications.counts()

    def targets(self) -> list[TargetCounts]:
        """The same for each target that any job has. May park."""
        return [] if self._notifications is None else self._notifications.targets()

    def recent(self) -> list[RecentMessage]:
        """The newest messages, newest first."""
        return [] if self._notifications is None else self._notifications.recent()

    @property
    def revision(self) -> int:
        """Grows with each change of what `counts` and `recent` return."""
        return 0 if self._notifications is None else self._notifications.revision

    def _is_asked_for(self) -> bool:
        return any(has_routes(job) for job in self._daemon.scheduler.jobs)

    def _follow(self, problem: str) -> None:
        self._problem = problem
        if self._notifications is not None:
            self._notifications.report_reload(problem)
            spawn(self._warn_of_files)
        elif self._is_asked_for():
            spawn(self._load_and_begin)

    def _load_and_begin(self) -> None:
        get_hub().threadpool.spawn(import_module, _ROOM).get()
        if self._notifications is None and not self._is_stopped:
            self._begin().report_reload(self._problem)
            self._warn_of_files()

    def _warn_of_files(self) -> None:
        """Say which files of targets cannot be read now: else somebody learns of it when a message is lost.

        Such a file may be on a file system that does not answer, so a thread looks.
        """
        from gcron.notify.delivery import Call, DeliveryError
        from gcron.notify.secrets import find_missing

        if self._look is not None and not self._look.is_over:
            return  # the file system still does not answer
        targets = {target.name: target for job in self._daemon.scheduler.jobs for target in job.targets}
        self._look = Call(partial(find_missing, tuple(targets.values()), self._trusted_owners))
        with suppress(DeliveryError):  # no thread is free
            self._look.begin()
            found = self._look.result.get().splitlines()
            for warning in found:
                if warning not in self._missing:
                    self._daemon.say(warning, "warning")
            self._missing = frozenset(found)

    def _begin(self) -> Notifications:
        from gcron.notify.channel import Patience
        from gcron.notify.notifications import Notifications
        from gcron.notify.senders import SenderSettings
        from gcron.notify.store import messages_of

        daemon = self._daemon
        settings = SenderSettings(daemon.clock, daemon.show, self._mailer, self._trusted_owners)
        self._notifications = Notifications(
            daemon.scheduler,
            daemon.clock,
            lambda text: daemon.say(text, "error"),
            settings,
            self._zone,
            messages_of(daemon.scheduler),
            patience=Patience() if self._keep is None else Patience(keep=self._keep),
        )
        self._notifications.start()
        return self._notifications
