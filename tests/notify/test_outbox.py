"""What waits for one target: digests, quiet hours, bounds."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gcron.notify.message import DIGEST, Message
from gcron.notify.outbox import Outbox, Quiet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
MINUTE = 60.0


def message(number: int, time: float = NOON, *, is_urgent: bool = False) -> Message:
    return Message(
        f"m{number}", "failure", time, f"job{number} failed", f"job{number}", output="x", is_urgent=is_urgent
    )


def take_all(outbox: Outbox, now: float) -> list[Message]:
    taken = []
    while (message := outbox.take(now)) is not None:
        taken.append(message)
    return taken


def test_twenty_messages_a_minute_go_one_by_one() -> None:
    outbox = Outbox()
    for number in range(20):
        outbox.put(message(number), NOON)

    assert [each.title for each in take_all(outbox, NOON)] == [f"job{number} failed" for number in range(20)]


def test_more_become_one_digest_that_names_all() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.put(message(number), NOON)
    assert len(take_all(outbox, NOON)) == 20
    assert outbox.due() == NOON + MINUTE

    (digest,) = take_all(outbox, NOON + MINUTE)

    assert (digest.kind, digest.title) == (DIGEST, "gcron: 980 messages (980 failure)")
    assert all(f"job{number} failed" in digest.text for number in range(20, 1000))
    assert digest.covers == tuple(f"m{number}" for number in range(20, 1000))
    assert outbox.due() is None


def test_after_a_minute_messages_go_one_by_one_again() -> None:
    outbox = Outbox()
    for number in range(21):
        outbox.put(message(number), NOON)
    take_all(outbox, NOON + MINUTE)
    outbox.put(message(21), NOON + MINUTE)

    assert [each.message_id for each in take_all(outbox, NOON + MINUTE)] == ["m21"]


def test_a_target_that_takes_nothing_gets_one_digest_later() -> None:
    """50 messages wait, and all that came in the hours after them are one."""
    outbox = Outbox()
    for minute in range(24 * 60):
        for number in range(10):
            outbox.put(message(minute * 10 + number), NOON + minute * MINUTE)

    *singles, digest = take_all(outbox, NOON + 86400)

    assert (len(singles), digest.kind) == (50, DIGEST)
    assert digest.title == "gcron: 14350 messages (2000 failure)"
    assert digest.text.splitlines()[-1] == "… and 12350 more"


def test_one_message_alone_is_no_digest() -> None:
    outbox = Outbox(per_minute=0)
    outbox.put(message(1), NOON)

    assert [each.title for each in take_all(outbox, NOON + MINUTE)] == ["job1 failed"]


def test_without_digests_the_oldest_message_is_dropped() -> None:
    outbox = Outbox(per_minute=None, capacity=2)

    dropped = [outbox.put(message(number), NOON) for number in range(4)]

    assert [each and each.message_id for each in dropped] == [None, None, "m0", "m1"]
    assert [each.message_id for each in take_all(outbox, NOON)] == ["m2", "m3"]


# -- quiet hours ------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Quiet(22 * 60, 7 * 60, BERLIN)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def test_in_quiet_hours_messages_wait_for_one_digest_in_the_morning() -> None:
    outbox = Outbox(NIGHT)
    for number in range(3):
        outbox.put(message(number), at("2026-01-01T23:00"))
    outbox.put(message(3), at("2026-01-02T06:59"))

    assert take_all(outbox, at("2026-01-02T06:59:59")) == []
    assert outbox.due() == at("2026-01-02T07:00")
    assert [each.kind for each in take_all(outbox, at("2026-01-02T07:00"))] == [DIGEST]


def test_urgent_messages_do_not_wait() -> None:
    outbox = Outbox(NIGHT)
    outbox.put(message(1, is_urgent=True), at("2026-01-01T23:00"))

    assert [each.message_id for each in take_all(outbox, at("2026-01-01T23:00"))] == ["m1"]


def test_many_urgent_messages_in_quiet_hours_are_a_digest_within_a_minute() -> None:
    """The twenty-first service that failed at night was told in the morning."""
    outbox, night = Outbox(NIGHT), at("2026-01-01T23:00")
    outbox.put(message(0), night)
    for number in range(1, 26):
        outbox.put(message(number, is_urgent=True), night)
    outbox.put(message(26), night + 1)
    assert len(take_all(outbox, night)) == 20

    (digest,) = take_all(outbox, night + MINUTE)
    assert digest.covers == ("m0", "m21", "m22", "m23", "m24", "m25", "m26")

    outbox.put(message(27), night + 2 * MINUTE)
    assert outbox.due() == at("2026-01-02T07:00")


def test_quiet_hours_that_begin_do_not_keep_an_urgent_message_of_a_digest() -> None:
    outbox, evening = Outbox(NIGHT), at("2026-01-01T21:59:30")
    for number in range(21):
        outbox.put(message(number, is_urgent=True), evening)
    outbox.put(message(21), evening + MINUTE / 2)

    assert outbox.due() == 0
    take_all(outbox, evening)
    assert outbox.due() == evening + MINUTE


def test_quiet_hours_may_be_within_one_day() -> None:
    lunch = Quiet(12 * 60, 13 * 60, BERLIN)

    assert lunch.until(at("2026-01-01T11:59")) is None
    assert lunch.until(at("2026-01-01T12:30")) == at("2026-01-01T13:00")
    assert lunch.until(at("2026-01-01T13:00")) is None


def test_quiet_hours_end_by_the_wall_clock_on_the_night_of_a_clock_change() -> None:
    assert NIGHT.until(at("2026-03-28T23:00")) == at("2026-03-29T07:00")


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 366 * 24 * 60))
def test_quiet_hours_end_after_now_and_within_a_day_and_an_hour(begin: int, end: int, minutes: int) -> None:
    now = at("2026-01-01T00:00") + minutes * 60
    until = None if begin == end else Quiet(begin, end, BERLIN).until(now)

    assert until is None or now < until <= now + 25 * 3600


@given(st.lists(st.tuples(st.integers(0, 600), st.booleans()), max_size=200))
def test_each_message_comes_out_once_alone_or_in_a_digest(steps: list[tuple[int, bool]]) -> None:
    outbox, now, came_out = Outbox(), NOON, []
    for number, (wait, takes) in enumerate(steps):
        now += wait
        outbox.put(message(number), now)
        if takes:
            came_out += take_all(outbox, now)
    outbox.hurry()
    came_out += take_all(outbox, now)

    ids = [each_id for each in came_out for each_id in (each.covers or (each.message_id,))]
    assert sorted(ids) == sorted(f"m{number}" for number in range(len(steps)))
    assert len(outbox) == 0
