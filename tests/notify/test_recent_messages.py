"""What became of messages: each target with its counts, and the newest messages one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gcron.greenlet import sleep
from gcron.notify.delivery import DeliveryError
from gcron.scheduler.messages import RecentMessage
from gcron.testing import VirtualClock
from tests.notify.conftest import House, Postbox
from tests.notify.test_notifications import OPS, MemoryMessages
from tests.waiting import until

JOB = "# gcron: name=backup notify=ops notify-again=0\n@manual false\n"


def fail(house: House, times: int = 1, job: str = "backup") -> None:
    for _ in range(times):
        house.scheduler.trigger(job).result.get()
    sleep(0.1)


def states(house: House) -> Counter[str]:
    return Counter(str(message.state) for message in house.notifications.recent())


def newest(house: House) -> RecentMessage:
    return house.notifications.recent()[0]


def test_a_message_is_followed_from_its_first_try_to_its_delivery(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    built = house(OPS + JOB)
    postbox.fail = [DeliveryError("no connection"), DeliveryError("busy", retry_after=60)]
    fail(built)
    first = newest(built)
    assert (first.state, first.attempts, first.error) == ("waiting", 1, "no connection")
    assert first.next_try is not None
    assert 9 < first.next_try - clock.now() <= 10
    (target,) = built.notifications.counts()
    assert (target.failing, target.last_error, target.next_try) == (1, "no connection", first.next_try)
    assert (target.kind, target.on, target.waiting) == (
        "webhook",
        ("failure", "recovery", "overdue", "service", "reload"),
        1,
    )
    sleep(10)
    assert (newest(built).attempts, newest(built).error) == (2, "busy")
    revision = built.notifications.revision
    sleep(60)
    last = newest(built)
    assert (last.state, last.attempts, last.error, last.next_try) == ("delivered", 3, "", None)
    assert (last.job, last.kind, last.target, last.title) == (
        "backup",
        "failure",
        "ops",
        "backup failed: exit status 1",
    )
    (target,) = built.notifications.counts()
    assert (target.failing, target.last_error, target.sent, target.failed, target.waiting) == (0, "", 1, 2, 0)
    assert built.notifications.revision > revision


def test_what_a_digest_stands_for_is_held_and_then_delivered(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + JOB)
    fail(built, 25)
    assert states(built) == {"delivered": 20, "held": 5}
    (target,) = built.notifications.counts()
    assert (target.waiting, target.held) == (5, 5)
    assert target.held_until is not None
    sleep(61)
    assert states(built) == {"delivered": 25}
    assert built.notifications.counts()[0].sent == 21, "a digest is one delivery"


def test_a_final_failure_is_given_up_and_the_target_stays_marked(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + JOB)
    postbox.fail = [DeliveryError("status 410", final=True)]
    fail(built)
    assert (newest(built).state, newest(built).error, newest(built).next_try) == ("given-up", "status 410", None)
    (target,) = built.notifications.counts()
    assert (target.failing, target.lost, target.dropped, target.next_try) == (1, 1, 0, None)
    fail(built)
    assert built.notifications.counts()[0].failing == 0


def test_what_has_no_room_is_dropped(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("# gcron-notify: hc ping=https://hc.example/SECRET\n# gcron: name=backup notify=hc\n@manual false\n")
    postbox.fail = [DeliveryError("no connection") for _ in range(300)]
    fail(built, 110)  # two pings a run, and 200 may wait
    (target,) = built.notifications.counts()
    assert (target.kind, target.on[:2], target.dropped) == ("ping", ("start", "success"), states(built)["dropped"])
    assert target.dropped >= 19
    assert target.waiting == 220 - target.dropped


def test_commands_of_all_jobs_are_one_target_and_each_that_fails_is_counted(
    house: Callable[..., House], postbox: Postbox
) -> None:
    jobs = "".join(
        f"# gcron: name=j{number} on-failure=x on-success=y notify-again=0\n@manual false\n" for number in range(3)
    )
    built = house(jobs)
    postbox.fail = [DeliveryError("exit status 1", final=True), DeliveryError("exit status 2", final=True)]
    for job in ("j0", "j1", "j2"):
        fail(built, job=job)
    (target,) = built.notifications.counts()
    assert (target.target, target.kind, target.where) == ("on-failure commands", "command", "of 3 jobs")
    assert (target.failing, target.last_error, target.sent, target.lost) == (2, "exit status 2", 1, 2)
    assert {message.target for message in built.notifications.recent()} == {"on-failure commands"}
    fail(built, job="j0")
    (target,) = built.notifications.counts()
    assert (target.failing, target.last_error) == (1, "exit status 2"), "the command of j1 still fails"
    built.scheduler.replace([])
    built.notifications.report_reload("")
    assert built.notifications.counts() == []


def test_targets_without_a_message_are_listed_with_their_jobs(house: Callable[..., House], postbox: Postbox) -> None:
    text = (
        "# gcron-notify: a url-file=/run/url quiet=22:00-07:30\n"
        "# gcron-notify: b url=slack://TOKEN\n# gcron-notify: c url=${HOOK}\n"
        "MAILTO=ops@example.com\n"
        "# gcron-defaults: notify=a,b,c\n"
    )
    built = house(text + "".join(f"# gcron: name=j{number}\n@manual true\n" for number in range(120)))
    found = {target.target: target for target in built.notifications.targets()}
    assert {name: target.kind for name, target in found.items()} == {
        "a": "unknown",
        "b": "apprise",
        "c": "unknown",
        "MAILTO=ops@example.com": "mail",
    }
    assert {target.jobs for target in found.values()} == {120}
    assert (found["a"].where, found["a"].quiet) == ("the URL in /run/url", "22:00-07:30")
    assert found["b"].where == "slack://"
    assert built.notifications.counts() == []


def test_after_a_restart_only_what_was_not_delivered_is_listed(house: Callable[..., House], postbox: Postbox) -> None:
    store = MemoryMessages()
    first = house(OPS + JOB, store=store)
    fail(first)
    postbox.fail = [DeliveryError("no connection") for _ in range(3)]
    fail(first)
    first.notifications.stop()

    second = house(OPS + JOB, store=store)
    second.notifications.start()
    until(lambda: second.notifications.recent())
    sleep(0.1)
    (message,) = second.notifications.recent()
    assert message.is_kept
    assert message.attempts == 1, "the tries of before are not known"
