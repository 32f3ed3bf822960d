"""This node among those that share a store: the lease that it renews with each beat, and the time of the store.

A node without a lease starts nothing. Before its lease is over, it ends what it has started: others may start it again.
The lease is measured by the clock's `monotonic`, which counts a suspend, from before the beat was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from zlib import crc32

from gcron.runtime.event import Event as Flag
from gcron.runtime.greenlet import Greenlet, spawn
from gcron.runtime.hub import Timer, get_hub
from gcron.schedule.clock import Clock
from gcron.scheduler.cluster import Beat, NodeRecord, Presence
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.shared_door import SharedDoor

__all__ = ["Membership"]

# Parts of the lease: after which it is renewed, at which runs are told to end, and at which they have to be gone. What
# lies between the last one and the end is for a machine that is busy.
_BEAT, _END, _GONE = 1 / 3, 13 / 15, 14.5 / 15
# Seconds that a start waits for the first beat.
_FIRST_BEAT = 5.0
# Seconds until a beat that failed is tried again.
_RETRY_AFTER = 1.0
# Seconds that an answer may take for its time to count: it is wrong by at most half of them.
_EXACT = 0.5


class Membership:
    """The lease of this node.

    `present`: returns what the next beat says; called in a thread. `learn`: takes what a beat has brought, and when it
    was sent. `lose`: the lease is about to end; takes the seconds until runs have to be gone, None when others have
    given them up already. Neither may park.
    """

    def __init__(
        self,
        door: SharedDoor,
        clock: Clock,
        present: Callable[[], Presence],
        learn: Callable[[Beat, float], object],
        lose: Callable[[float | None], object],
    ) -> None:
        self._door = door
        self._clock = clock
        self._present = present
        self._learn = learn
        self._lose = lose
        self._lease = door.cluster.lease
        self.began = inf
        """When the present lease was first asked for, by the clock's `monotonic`."""
        self._sent = -inf
        """When the last beat that was answered was sent."""
        self._started = -inf
        """The store may have heard of this node then, though it has answered no beat."""
        self._has_told = True
        """That the lease ends."""
        self._offset = clock.now() - clock.monotonic()
        """Of the store's clock to `monotonic`."""
        self.skew: float | None = None
        """By how many seconds this node's clock is ahead of the store's; None: not known yet."""
        self.latency: float | None = None
        """Seconds that the store took to answer the last beat; None: it has answered none yet."""
        self.nodes: tuple[NodeRecord, ...] = ()
        """All of them, as of the last beat."""
        self._beating: Greenlet | None = None
        self._soon = Flag()
        self._has_tried = Flag()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Get the lease, parking for a bounded time, and renew it from then on.

        What an earlier gcron left may be held only as long as if a beat had been answered now.
        """
        self._started = self._clock.monotonic()
        self._has_told = False
        self.look()
        self._beating = spawn(self._go_on)
        self._has_tried.wait(_FIRST_BEAT)

    def stop(self) -> None:
        """Renew it no more."""
        if self._beating is not None:
            self._beating.kill()
        if self._timer is not None:
            self._timer.cancel()

    def hurry(self) -> None:
        """Let the next beat be now."""
        self._soon.set()

    @property
    def is_sure(self) -> bool:
        """Whether the lease holds long enough to start something."""
        return self._clock.monotonic() < self._sent + self._lease * _END

    def covers(self, sent: float) -> bool:
        """Whether what the store has granted when it was asked at `sent` may start now."""
        is_quick = self._clock.monotonic() - sent <= self._lease / 2
        return is_quick and sent >= self.began and self.is_sure

    def now(self) -> float:
        """The time of the store: seconds of UTC, by the machine's steady clock since the last beat."""
        return self._clock.monotonic() + self._offset

    def speaks(self) -> bool:
        """Whether it is this node that reports what all of them see: the first one by name that is up."""
        up = [each.node for each in self.nodes if each.is_up]
        return self.is_sure and (not up or self._door.cluster.node == min(up))

    def has_turn(self, job: str, fire_at: int, label: str) -> bool:
        """Whether this node asks first for a fire: of those that are up, and have the label if there is one."""
        up = sorted({each.node for each in self.nodes if each.is_up and (not label or label in each.labels)})
        return (
            not up
            or up[crc32(f"{job} {fire_at}".encode("utf-8", "surrogatepass")) % len(up)] == self._door.cluster.node
        )

    def look(self) -> None:
        """Report that the lease ends, if so: after a suspend, no timer has seen that. Returns at once."""
        now = self._clock.monotonic()
        if self._timer is not None:
            self._timer.cancel()
        if self._has_told:
            return
        since = max(self._sent, self._started)
        end = since + self._lease * _END
        if now < end:
            self._timer = get_hub().call_later(end - now, self.look)
            return
        self._has_told = True
        self._lose(max(0.0, since + self._lease * _GONE - now))

    def _go_on(self) -> None:
        while True:
            pause = self._lease * _BEAT if self._beat() else _RETRY_AFTER
            self._has_tried.set()
            self._soon.wait(pause)
            self._soon.clear()

    def _beat(self) -> bool:
        try:
            sent, beat = self._door.beat(self._present, self.skew)
        except StoreUnavailable:
            return False
        answered = self._clock.monotonic()
        self.latency = answered - sent
        if self.skew is None or answered - sent <= _EXACT:
            self._offset = beat.now - (sent + answered) / 2
            self.skew = self._clock.now() - self.now()
        if self._sent == -inf or not beat.holds:
            self.began = sent
        if not beat.holds:
            self._lose(None)
        self._sent = sent
        self._has_told = False
        self.nodes = beat.nodes
        self.look()
        try:
            self._learn(beat, sent)
        except Exception as error:  # the lease is renewed all the same
            get_hub().report_error("what the store says of other nodes", error)
        try:
            self._door.give_back()
        except StoreUnavailable:
            return False
        return True
