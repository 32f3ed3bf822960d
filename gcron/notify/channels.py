"""The channels of one gcron by name, each made when it is first needed, and what is counted for each target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo

from gcron.notify.channel import Channel, Patience
from gcron.notify.counts import Counts, TargetFacts
from gcron.notify.delivery import DeliveryThreads, Sender
from gcron.notify.outbox import Outbox, Quiet
from gcron.notify.recent import Recent
from gcron.notify.routes import CommandRoute, Route, TargetRoute
from gcron.notify.senders import SenderSettings, facts_of, where_of
from gcron.notify.space import Space
from gcron.schedule.clock import Clock
from gcron.scheduler.messages import MessageStore, TargetCounts

__all__ = ["Channels", "MakeSender"]

# Messages that wait for a receiver that takes no digest: a ping, a command.
_MOST_SINGLE = 200
# Deliveries at once that the crontab of one user asks for.
_THREADS_OF_A_USER = 2

MakeSender = Callable[[Route, SenderSettings], Sender]


class Channels:
    """Makes channels for routes, and has them follow their targets. See `Notifications` for the arguments."""

    def __init__(
        self,
        clock: Clock,
        say: Callable[[str], object],
        settings: SenderSettings,
        zone: tzinfo,
        store: MessageStore | None,
        make: MakeSender,
        patience: Patience,
    ) -> None:
        self._clock = clock
        self._say = say
        self._settings = settings
        self._zone = zone
        self._store = store
        self._make = make
        self._patience = patience
        self._space = Space(say)
        self._threads: dict[str, DeliveryThreads] = {}
        """By owner: one user's mails that hang do not hold up another's."""
        self._channels: dict[str, Channel] = {}
        self._used: dict[str, Route] = {}
        """The route that each channel was last used for."""
        self._counts: dict[str, Counts] = {}
        """By the names of targets; those of all commands for one event are one."""
        self._shown: dict[str, Route] = {}
        """By the same names, a route that is counted there."""
        self._members: Counter[str] = Counter()
        """By the same names, how many channels are counted there."""
        self._gone: Counter[str] = Counter()
        """Messages that were given up, by the names of targets that are gone."""
        self.recent = Recent()

    def __iter__(self) -> Iterator[Channel]:
        """Yield all channels."""
        return iter(self._channels.values())

    def __len__(self) -> int:
        """Return how many channels there are."""
        return len(self._channels)

    def of(self, route: Route) -> Channel:
        """Return the channel of a route. If there is one, it follows the target."""
        channel = self._channels.get(route.name)
        if channel is None:
            channel = self._channels[route.name] = Channel(
                route.name,
                where_of(route),
                self._make(route, self._settings),
                self._outbox(route),
                self._threads_of(route.owner),
                self._clock,
                self._say,
                self._space,
                route.owner,
                self._store,
                self._patience,
                self._counts_of(route),
            )
        else:
            self._follow(channel, route)
        self._used[route.name] = self._shown[route.shown] = route
        return channel

    def follow(self, routes: Mapping[str, Route]) -> None:
        """Use the routes that there are now. Otherwise each reload could leave some more channels."""
        for name, channel in tuple(self._channels.items()):
            if name in routes:
                self._follow(channel, routes[name])
                self._used[name] = self._shown[routes[name].shown] = routes[name]
            elif channel.is_idle:
                self._remove(channel)

    def give_up(self, target: str, route: Route | None, count: int, why: str) -> None:
        """Count messages of an earlier gcron for a target. `route`: None when the target is gone."""
        if route is not None:
            self.of(route).give_up(count, why)
            return
        self._gone[target] += count
        self._say(f"notify {target}: given up: {count}: {why}")

    def _follow(self, channel: Channel, route: Route) -> None:
        if self._used[route.name] != route:
            channel.use(where_of(route), self._make(route, self._settings), self._quiet(route))

    def _remove(self, channel: Channel) -> None:
        shown = self._used.pop(channel.name).shown
        del self._channels[channel.name]
        channel.counts.forget(channel.name)
        self._members[shown] -= 1
        if not self._members[shown]:
            del self._members[shown], self._counts[shown], self._shown[shown]

    def _counts_of(self, route: Route) -> Counts:
        self._members[route.shown] += 1
        return self._counts.setdefault(route.shown, Counts(route.shown, self.recent))

    def _threads_of(self, owner: str) -> DeliveryThreads:
        if owner not in self._threads:
            self._threads[owner] = DeliveryThreads(_THREADS_OF_A_USER) if owner else DeliveryThreads()
        return self._threads[owner]

    def _outbox(self, route: Route) -> Outbox:
        if isinstance(route, CommandRoute) or (isinstance(route, TargetRoute) and route.target.ping_style):
            return Outbox(per_minute=None, capacity=_MOST_SINGLE)
        return Outbox(self._quiet(route))

    def _quiet(self, route: Route) -> Quiet | None:
        quiet = route.target.quiet if isinstance(route, TargetRoute) else None
        return None if quiet is None else Quiet(*quiet, self._zone)

    # -- what is counted ------------------------------------------------------------------------------------

    def counts(self) -> list[TargetCounts]:
        """What became of the messages, for each target that had any, by name."""
        described = [self._describe(name, route, self._members[name]) for name, route in self._shown.items()]
        return sorted([*self._describe_gone(), *described], key=lambda each: each.target)

    def counts_with(self, known: Mapping[str, tuple[Route, int]]) -> list[TargetCounts]:
        """The same with all targets that are known, by the names that are shown: a route, and how many jobs have it."""
        old = {name: (route, 0) for name, route in self._shown.items()}
        described = [
            self._describe(name, route, jobs, is_counted=True) for name, (route, jobs) in (old | {**known}).items()
        ]
        return sorted([*self._describe_gone(), *described], key=lambda each: each.target)

    def _describe(self, name: str, route: Route, jobs: int, is_counted: bool = False) -> TargetCounts:
        counts = self._counts.get(name) or Counts(name)
        held, held_until = self._channels[name].held if name in self._channels else (0, None)
        return counts.described(facts_of(route, jobs), held, held_until, jobs if is_counted else None)

    def _describe_gone(self) -> list[TargetCounts]:
        return [Counts(name, lost=count).described(TargetFacts("", "gone")) for name, count in self._gone.items()]
