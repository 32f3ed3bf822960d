"""`Notifications`: observes a scheduler and brings messages on their way.

An event becomes an occasion (rules.py), an occasion a message for each route (routes.py, wording.py), and a channel
delivers it (channel.py). Nothing of that waits: no fire and no run is delayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, tzinfo

from gcron.crontab import Target
from gcron.notify.channel import Patience
from gcron.notify.channels import Channels, MakeSender
from gcron.notify.message import Message
from gcron.notify.program import end_programs
from gcron.notify.routes import Route, TargetRoute, has_routes, routes_of
from gcron.notify.rules import EVENTS_READ, Occasion, Rules
from gcron.notify.senders import SenderSettings, make_sender
from gcron.notify.wording import message_about_reload, message_of
from gcron.runtime.greenlet import Greenlet, sleep, spawn
from gcron.runtime.hub import Timer, get_hub
from gcron.runtime.waiting import joinall, killall
from gcron.schedule.clock import Clock
from gcron.scheduler import Job, JobEvent, Scheduler
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.messages import KeptMessage, MessageStore, RecentMessage, TargetCounts
from gcron.wording import describe_span

__all__ = ["Notifications"]

# Seconds for the processes of commands to end, once they are killed.
_LAST_ENDS = 0.8
# Jobs that are looked at before others have their turn: a page must not delay a fire.
_AT_ONCE = 50


class Notifications:
    """Sends messages about the jobs of `scheduler`; a part of the daemon.

    `say`: takes lines for the log. `settings`: how mail is sent, and the like. `zone`: of times in messages and of
    quiet hours. `store`: keeps what is not delivered over a restart; without one it is lost then. `make`: makes the
    senders, and `patience` says how long they are waited for: both for tests.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        say: Callable[[str], object],
        settings: SenderSettings,
        zone: tzinfo = UTC,
        store: MessageStore | None = None,
        make: MakeSender = make_sender,
        patience: Patience | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._say = say
        self._settings = settings
        self._zone = zone
        self._patience = patience or Patience()
        self._store = store
        self._channels = Channels(clock, say, settings, zone, store, make, self._patience)
        self._rules = Rules()
        self._for_all: dict[str, Target] = {}
        self._named: dict[str, Target] = {}
        self._timer: Timer | None = None
        self._restorer: Greenlet | None = None
        self._is_restored = store is None
        self._put_here: set[tuple[str, str]] | None = None if store is None else set()
        """Ids and targets of what this process has put, until it has listed what an earlier one left; else None."""
        self._is_wrong = False
        """The crontabs on the disk have errors, and somebody was told."""
        for kind in EVENTS_READ:
            scheduler.on_early(kind, self._observe)

    def add(self, target: Target) -> None:
        """Send messages about all jobs to a target, too; one of the same name is replaced."""
        self._for_all[target.name] = target

    def add_named(self, target: Target) -> None:
        """Send messages to a target about the jobs whose `notify` has its name."""
        self._named[target.name] = target

    @property
    def names(self) -> set[str]:
        """Of the targets that were added."""
        return {target.name for target in self._added}

    @property
    def _added(self) -> tuple[Target, ...]:
        return (*self._for_all.values(), *self._named.values())

    def start(self) -> None:
        """Deliver what was not delivered before the last end."""
        for channel in self._channels:
            channel.go_on()
        if not self._is_restored and self._store is not None:
            if self._put_here is None:  # an earlier start could not list all
                self._put_here = {key for channel in self._channels for key in channel.waiting}
            self._restorer = spawn(self._restore, self._store)

    def stop(self) -> None:
        """Deliver what waits, within 5 s. What is left is in the log, and in the store if there is one."""
        if self._timer is not None:
            self._timer.cancel()
        workers = [worker for channel in self._channels if (worker := channel.stop()) is not None]
        if self._restorer is not None:
            self._restorer.kill(block=False)
        joinall(workers, self._patience.stop)
        end_programs()
        killall(workers, block=False)
        joinall(workers, _LAST_ENDS)
        fate = "lost" if self._store is None else "kept for the next start"
        for counts in self.counts():
            if counts.waiting:
                why = f": {counts.last_error}" if counts.last_error else ""
                self._say(f"notify {counts.target} ({counts.where}): not delivered, and {fate}: {counts.waiting}{why}")
        for channel in self._channels:
            channel.begin_anew()

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target that had any, by name."""
        return self._channels.counts()

    def targets(self) -> list[TargetCounts]:
        """The same for each target that there is, with how many jobs have it. May park: all jobs are looked at."""
        known: dict[str, tuple[Route, int]] = {target.name: (TargetRoute(target), 0) for target in self._added}
        for index, job in enumerate(self._scheduler.jobs):
            if index % _AT_ONCE == _AT_ONCE - 1:
                sleep(0)
            for route in self._routes(job):
                _, jobs = known.get(route.shown, (route, 0))
                known[route.shown] = route, jobs + 1
        return self._channels.counts_with(known)

    def recent(self) -> list[RecentMessage]:
        """The newest messages since the start, newest first."""
        return self._channels.recent.messages

    @property
    def revision(self) -> int:
        """Grows with each change of what `counts` and `recent` return."""
        return self._channels.recent.revision

    def report_reload(self, problem: str) -> None:
        """Tell that the crontabs on the disk are wrong, or, with an empty `problem`, that they are right again.

        What waits goes to the targets as they are now. To one that is gone it goes as before.
        """
        if not problem and len(self._channels):
            self._channels.follow(self._all_routes())
        if bool(problem) == self._is_wrong:
            return
        self._is_wrong = bool(problem)
        message = message_about_reload(problem, self._clock.now())
        targets = {target.name: target for job in self._scheduler.jobs for target in job.targets} | self._for_all
        for target in targets.values():
            if "reload" in target.on and not target.ping_style:
                self._put(TargetRoute(target), message)

    # -- from an event to its messages ----------------------------------------------------------------------

    def _observe(self, event: JobEvent) -> None:
        job = self._scheduler.get_job(event.job)
        if job is None or not (self._for_all or has_routes(job) or (job.policy.notify and self._named)):
            return
        occasion = self._rules.read(event, job)
        if occasion is not None:
            self._tell(occasion, job)
        self._look_later()

    def _tell(self, occasion: Occasion, job: Job) -> None:
        messages: dict[str, Message] = {}
        for route in self._routes(job):
            is_ping = isinstance(route, TargetRoute) and bool(route.target.ping_style)
            kind = occasion.kind_for(route.wanted, with_repeated=is_ping)
            if kind is not None:
                if kind not in messages:
                    messages[kind] = message_of(occasion, kind, job, self._zone)
                self._put(route, messages[kind])

    def _routes(self, job: Job) -> list[Route]:
        named = [self._named[name] for name in job.policy.notify if name in self._named]
        return routes_of(job, [*self._for_all.values(), *named], with_mail=self._settings.mailer is not None)

    def _all_routes(self) -> dict[str, Route]:
        """Those of the jobs and targets that there are now, by name."""
        routes = {route.name: route for job in self._scheduler.jobs if has_routes(job) for route in self._routes(job)}
        return routes | {target.name: TargetRoute(target) for target in self._added}

    def _look_later(self) -> None:
        due = self._rules.next_look
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = get_hub().call_later(max(0.0, due - self._clock.now()), self._look)

    def _look(self) -> None:
        self._timer = None
        for occasion in self._rules.look(self._clock.now()):
            if (job := self._scheduler.get_job(occasion.event.job)) is not None:
                self._tell(occasion, job)
        self._look_later()

    def _put(self, route: Route, message: Message, is_kept: bool = False) -> None:
        if self._put_here is not None:
            self._put_here.add((message.message_id, route.name))
        self._channels.of(route).put(message, is_kept)

    # -- after a restart ------------------------------------------------------------------------------------

    def _restore(self, store: MessageStore) -> None:
        """Deliver what an earlier gcron did not, and give up what is too old or has no target any more."""
        oldest = self._clock.now() - self._patience.keep
        routes = self._all_routes()
        given_up: Counter[tuple[str, str]] = Counter()
        last: KeptMessage | None = None
        try:
            while kept := store.list_messages(last):
                for each in kept:
                    if self._put_here is not None and (each.message_id, each.target) in self._put_here:
                        continue
                    if why := self._restore_one(each, routes.get(each.target), oldest):
                        given_up[each.target, why] += 1
                        store.drop_messages([(each.message_id, each.target)])
                last = kept[-1]
            self._is_restored = True
        except StoreUnavailable as error:
            self._say(f"notify: messages of before the start cannot be read, and wait for the next start: {error}")
        self._put_here = None
        for (target, why), count in given_up.items():
            self._channels.give_up(target, routes.get(target), count, why)

    def _restore_one(self, kept: KeptMessage, route: Route | None, oldest: float) -> str:
        """Have a message delivered; returns why not, if so."""
        if route is None:
            return "there is no such target any more"
        if kept.time < oldest:
            return f"gcron did not run for so long that they are older than {describe_span(self._patience.keep)}"
        try:
            message = Message.from_json(kept.text)
        except (ValueError, TypeError, KeyError):
            return "their text is damaged"
        self._put(route, message, is_kept=True)
        return ""
