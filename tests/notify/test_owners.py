"""Messages of users' crontabs: what one user asks for harms nobody else's messages."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gcron import sleep
from gcron.crontab import parse
from gcron.crontab.naming import Names
from gcron.crontab.parser import Draft
from gcron.crontab.spool import UserFile
from gcron.frozen import replace
from gcron.notify.channel import Channel, Patience
from gcron.notify.delivery import DeliveryError, DeliveryThreads
from gcron.notify.mailer import Mailer
from gcron.notify.message import DIGEST, Message
from gcron.notify.outbox import Outbox
from gcron.notify.routes import MailRoute, Route
from gcron.notify.senders import SenderSettings
from gcron.notify.space import Space
from gcron.schedule.clock import SystemClock
from gcron.scheduler.job import Job, job_of, jobs_of
from gcron.testing import VirtualClock
from tests.notify.conftest import House, Postbox
from tests.waiting import until


def jobs(text: str, owner: str = "") -> list[Job]:
    """The jobs of a crontab of `owner`."""
    prefix = f"{owner}:" if owner else ""
    return [replace(job, name=prefix + job.name, owner=owner) for job in jobs_of(parse(text))]


def test_a_job_has_the_user_of_its_crontab_as_owner() -> None:
    """Not the user that it runs as: root's crontabs may run jobs as bob, and bob edits none of these."""
    draft = Draft("@daily x\n", "bob", user=UserFile("bob", "bob", 1000))
    (of_bob,) = draft.finish(Names(draft.given_names)).entries
    (of_root,) = parse("# gcron: user=bob\n@daily x\n").entries

    assert [job_of(entry).owner for entry in (of_bob, of_root)] == ["bob", ""]


# -- mail -------------------------------------------------------------------------------------------------------------


def test_each_crontab_has_its_own_sender(make_house: Callable[..., House], clock: VirtualClock) -> None:
    """All mails to one address came from the sender that had been used last: bob's MAILFROM was on root's mails."""
    delivered: list[tuple[str, str]] = []

    class RememberingSender:
        blocks = False

        def __init__(self, route: Route) -> None:
            assert isinstance(route, MailRoute)
            self._sender = route.sender

        def send(self, message: Message) -> str:
            sleep(1)
            delivered.append((message.job, self._sender))
            return "delivered"

    def make(route: Route, settings: SenderSettings) -> Any:
        return RememberingSender(route)

    house = make_house("", clock, make, Mailer(program="/nowhere"))
    entry = "MAILTO=ops@example.com\nMAILFROM={}\n# gcron: name={}\n@manual echo hello\n"
    house.scheduler.replace(
        [
            *jobs(entry.format("root@example.com", "a")),
            *jobs(entry.format("backup@example.com", "b")),
            *jobs(entry.format("not an address", "c"), "bob"),
            *jobs(entry.format("root@example.com", "c"), "alice"),
        ]
    )
    for job in [job.name for job in house.scheduler.jobs] * 2:
        house.scheduler.trigger(job).result.get()
    until(lambda: len(delivered) == 8)

    assert set(delivered) == {
        ("a", "root@example.com"),
        ("b", "backup@example.com"),
        ("bob:c", "not an address"),
        ("alice:c", "root@example.com"),
    }
    assert len(house.notifications.counts()) == 4


def test_what_floods_the_addressee_of_another_is_a_digest_of_its_own(
    house: Callable[..., House], postbox: Postbox
) -> None:
    """Root's failures of the same address were in digests together with bob's, from bob's sender that is no address,
    and were given up with them."""
    built = house("")
    flood = "".join(f"# gcron: name=j{number}\n@manual echo x\n" for number in range(25))
    text = "MAILTO=ops@example.com\n# gcron: name=backup\n@manual echo no space\n"
    built.scheduler.replace([*jobs(text), *jobs(f"MAILTO=ops@example.com\n{flood}", "bob")])
    for job in [job.name for job in built.scheduler.jobs if job.owner] + ["backup"]:
        built.scheduler.trigger(job).result.get()
    while any(counts.waiting for counts in built.notifications.counts()):
        sleep(1)

    assert postbox.kinds("MAILTO=ops@example.com") == ["output"]
    assert postbox.kinds("bob:MAILTO=ops@example.com") == ["output"] * 20 + [DIGEST]


@pytest.mark.realtime
def test_deliveries_of_one_user_that_hang_hold_up_no_other_mail(make_house: Callable[..., House]) -> None:
    """Eight mails that hung used all the threads. Root's mail waited for 30 s; for 19 minutes with 300 addressees."""
    hangs, delivered = threading.Event(), threading.Event()

    class MaybeHangingSender:
        blocks = True

        def __init__(self, route: Route) -> None:
            self._owner = route.owner

        def send(self, message: Message) -> str:
            if self._owner:
                hangs.wait()
            else:
                delivered.set()
            return "delivered"

    def make(route: Route, settings: SenderSettings) -> Any:
        return MaybeHangingSender(route)

    patience = Patience(delivery=1000.0, stop=0.5)
    house = make_house("", SystemClock(), make, Mailer(program="/nowhere"), patience=patience)
    flood = "".join(f"MAILTO=a{number}\n# gcron: name=j{number}\n@manual echo x\n" for number in range(10))
    house.scheduler.replace([*jobs("MAILTO=ops\n# gcron: name=a\n@manual echo x\n"), *jobs(flood, "bob")])
    try:
        for job in [job.name for job in house.scheduler.jobs if job.owner] + ["a"]:
            house.scheduler.trigger(job).result.get()
        until(delivered.is_set, "root's mail")
    finally:
        hangs.set()


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_commands_of_one_user_that_hang_hold_up_no_other_users(
    make_house: Callable[..., House], tmp_path: Path
) -> None:
    """Four `on-failure='sleep 59'` of bob were all that ran at once: root's alarm came a minute later, or never."""
    house = make_house("", SystemClock())
    hang = "".join(
        f"# gcron: name=j{number} cwd={tmp_path} on-failure='echo x >> hanging; exec sleep 59'\n@manual false\n"
        for number in range(5)
    )
    alarm = f"# gcron: name=backup cwd={tmp_path} on-failure='touch alarm'\n@manual false\n"
    house.scheduler.replace([*jobs(hang, "bob"), *jobs(alarm)])
    for job in house.scheduler.jobs:
        if job.owner:
            house.scheduler.trigger(job.name).result.get()
    until(lambda: (tmp_path / "hanging").exists() and (tmp_path / "hanging").read_text() == "x\n" * 4, "four commands")
    house.scheduler.trigger("backup").result.get()

    until((tmp_path / "alarm").exists, "root's alarm")
    assert (tmp_path / "hanging").read_text() == "x\n" * 4


# -- memory -----------------------------------------------------------------------------------------------------------


class DeadSender:
    """Takes nothing until `is_alive`."""

    blocks = False

    def __init__(self) -> None:
        self.is_alive = False
        self.delivered: list[Message] = []

    def send(self, message: Message) -> str:
        if not self.is_alive:
            raise DeliveryError("nobody is there")
        self.delivered.append(message)
        return "delivered"


@pytest.fixture
def make_channel(clock: VirtualClock) -> Iterator[Callable[..., Channel]]:
    channels: list[Channel] = []

    def make(space: Space, owner: str, sender: DeadSender, outbox: Outbox | None = None) -> Channel:
        name = f"{owner}:{len(channels)}"
        channel = Channel(
            name, "here", sender, outbox or Outbox(), DeliveryThreads(), clock, lambda text: None, space, owner
        )
        channels.append(channel)
        return channel

    yield make
    for channel in channels:
        worker = channel.stop()
        if worker is not None:
            worker.kill()


numbers = count()


def printed(time: float, size: int = 50_000) -> Message:
    """A message with an output; each has texts of its own."""
    number = next(numbers)
    output = f"{number}" + "x" * size
    return Message(f"m{number}", "output", time, f"job{number}", "job", "job: job", {}, output, output[-10_000:])


def test_a_user_with_many_addressees_and_much_output_has_bounded_memory(
    make_channel: Callable[..., Channel], clock: VirtualClock
) -> None:
    """300 entries, each with its own MAILTO, printed 130 kB each 2 s while the mailer hung: gcron grew to 640 MB.

    Nothing is lost: the messages arrive without their output, or in digests that count them. The log says so once.
    """
    log: list[str] = []
    space, sender = Space(log.append), DeadSender()
    channels = [make_channel(space, "bob", sender) for _ in range(300)]
    tracemalloc.start()
    for _ in range(30):
        for channel in channels:
            channel.put(printed(clock.now()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16 * 1024 * 1024
    (line,) = log
    assert line.startswith("notify: 81")
    assert line.endswith(" kB of messages of bob's jobs wait: output is left out until there is room")
    assert space.room("") == 32 * 1024 * 1024
    assert sum(channel.counts.waiting for channel in channels) == 9000

    sender.is_alive = True
    sleep(3600)
    single = [message for message in sender.delivered if message.kind != DIGEST]
    digests = [message for message in sender.delivered if message.kind == DIGEST]
    assert len(single) + sum(int(str(digest.record["count"])) for digest in digests) == 9000
    assert "The output (50" in single[-1].text
    assert space.room("bob") == 8 * 1024 * 1024
    assert len(log) == 2
    assert log[1].startswith("notify: there is room again for messages of bob's jobs; ")


def test_all_users_together_leave_room_for_the_rest() -> None:
    space = Space(lambda text: None, per_user=10, all_users=25, others=30)
    for user in ("alice", "bob"):
        space.change(user, 10)

    assert (space.room("bob"), space.room("carol"), space.room("")) == (0, 5, 30)


def test_without_room_each_command_still_has_its_latest_message() -> None:
    outbox = Outbox(per_minute=None)

    first, second = printed(0.0), printed(1.0)
    assert outbox.put(first, 0.0, room=0) is None
    dropped = outbox.put(second, 1.0, room=0)

    assert dropped is not None
    assert dropped.message_id == first.message_id
    waiting = outbox.take(1.0)
    assert waiting is not None
    assert (waiting.message_id, waiting.output, waiting.tail) == (second.message_id, "", "")
    assert outbox.size == 0


def test_the_size_of_an_outbox_is_that_of_its_messages() -> None:
    outbox, message = Outbox(per_minute=1), printed(0.0)
    outbox.put(message, 0.0)
    outbox.put(printed(0.0), 0.0)
    assert message.size < outbox.size < message.size + 5_000

    assert outbox.take(0.0) is message
    outbox.put_back(message)
    assert outbox.size > message.size

    outbox.hurry()
    while outbox.take(0.0) is not None:
        pass
    assert outbox.size == 0
