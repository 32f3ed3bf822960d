"""From the events of a scheduler to messages that are delivered, on virtual time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from gcron import at, sleep
from gcron.crontab import Target, parse
from gcron.frozen import replace
from gcron.notify.channel import Patience
from gcron.notify.delivery import DeliveryError
from gcron.notify.message import DIGEST, Message
from gcron.notify.rules import Occasion
from gcron.notify.wording import message_of
from gcron.policy import Policy
from gcron.runtime.event import Event
from gcron.schedule import every
from gcron.schedule.clock import SystemClock
from gcron.scheduler import RunFinished, RunResult
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.job import Job, jobs_of
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.python_jobs import schedule_of
from gcron.supervise.command import Command
from gcron.supervise.outcome import NO_REASON, Outcome
from gcron.supervise.usage import Usage
from gcron.testing import VirtualClock
from tests.notify.conftest import House, Postbox
from tests.waiting import PATIENCE, until

OPS = "# gcron-notify: ops url=https://hooks.example/secret on=failure,recovery,overdue,service,reload\n"


def run(house: House, job: str) -> None:
    """Run a job, and let its messages be delivered."""
    house.scheduler.trigger(job).result.get()
    settle(house)


def settle(house: House) -> None:
    """Let virtual time pass until nothing waits, second by second."""
    sleep(0.1)
    while any(counts.waiting for counts in house.notifications.counts()):
        sleep(1)


def test_a_failure_and_the_recovery_are_told(house: Callable[..., House], postbox: Postbox, tmp_path: object) -> None:
    flag = f"{tmp_path}/flag"
    built = house(OPS + f"# gcron: name=backup notify=ops\n@manual test -e {flag}\n")

    run(built, "backup")
    run(built, "backup")
    open(flag, "w").close()
    run(built, "backup")

    assert postbox.titles() == [
        "backup failed: exit status 1",
        "backup works again (it did not since 2026-01-01 00:00:00 UTC)",
    ]
    message = postbox.delivered[0][1]
    assert message.record["outcome"] == "failed"
    assert 0 <= message.record["cpu_seconds"] < 5
    assert re.search(r"^used: \d\.\d s of processor time$", message.text, re.MULTILINE)


def test_the_peak_of_memory_is_told_where_it_is_known() -> None:
    usage = Usage(1.8, 34 << 20)
    event = RunFinished(0.0, "job", "r1", 0, RunResult(Outcome.SUCCEEDED, NO_REASON, usage=usage))
    job = Job("job", every(60), Command("true"), Policy())
    text = message_of(Occasion(event, ("success",)), "success", job, UTC).text
    assert "used: 1.8 s of processor time, at most 34.0 MiB of memory\n" in text


def test_a_job_without_targets_tells_nobody(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup\n@manual false\n")

    run(built, "backup")

    assert postbox.delivered == []
    assert built.notifications.counts() == []


def test_mailto_gets_what_a_run_prints_as_in_cron(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("MAILTO=ops@example.com\n# gcron: name=a\n@manual echo hello\n# gcron: name=b\n@manual false\n")

    run(built, "a")
    run(built, "b")

    assert postbox.kinds("MAILTO=ops@example.com") == ["output"]
    assert postbox.delivered[0][1].output == "hello\n"


def test_mailto_gets_a_run_that_could_not_print(house: Callable[..., House], postbox: Postbox) -> None:
    """cron has no mail for a command that does not start, or never ends: it does not know of these."""
    built = house("MAILTO=ops@example.com\n# gcron: name=a cwd=/nonexistent\n@manual echo hello\n")

    run(built, "a")

    assert postbox.kinds() == ["output"]
    assert postbox.titles() == [
        "a did not start: cannot start: there is no directory /nonexistent, or it may not be seen"
    ]


def test_with_minus_n_mailto_gets_only_failures(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("MAILTO=ops\n# gcron: name=a\n@manual -n echo a\n# gcron: name=b\n@manual -n echo b; exit 3\n")

    run(built, "a")
    run(built, "b")

    assert postbox.titles() == ["b failed: exit status 3"]


def test_an_empty_mailto_ends_it(house: Callable[..., House], postbox: Postbox) -> None:
    built = house('MAILTO=ops\nMAILTO=""\n# gcron: name=a\n@manual echo a\n')

    run(built, "a")

    assert postbox.delivered == []


def test_pings_get_each_run_as_it_comes(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("# gcron-notify: hc ping=https://hc.example/id\n# gcron: name=a notify=hc\n@manual false\n")

    run(built, "a")
    run(built, "a")

    assert postbox.kinds("hc") == ["start", "failure", "start", "failure"]


def test_a_job_is_overdue(house: Callable[..., House], clock: VirtualClock, postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops expect-within=25h\n@manual true\n")
    built.scheduler.start()
    sleep(26 * 3600)
    run(built, "backup")

    assert postbox.titles() == [
        "backup is overdue: no success for 25h",
        "backup works again (it did not since 2026-01-02 01:00:00 UTC)",
    ]


def test_wrong_crontabs_are_told_once(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual true\n")
    for problem in ("", "crontab:1: wrong", "crontab:1: still wrong", "", ""):
        built.notifications.report_reload(problem)
    sleep(1)

    assert postbox.titles() == [
        "gcron: the crontab on disk is wrong: the jobs stay as they are",
        "gcron: the crontab on disk is right again",
    ]


def test_a_target_for_all_jobs(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("# gcron: name=backup\n@manual false\n")
    built.notifications.add(Target("all", "https://a.example"))

    run(built, "backup")

    assert postbox.titles("all") == ["backup failed: exit status 1"]


def test_after_a_reload_messages_go_to_the_new_url(house: Callable[..., House], postbox: Postbox) -> None:
    text = "# gcron-notify: ops url=https://{}.example\n# gcron: name=a notify=ops notify-again=0\n@manual false\n"
    built = house(text.format("old"))
    run(built, "a")
    built.scheduler.replace(jobs_of(parse(text.format("new"))))
    run(built, "a")

    (counts,) = built.notifications.counts()
    assert (counts.where, counts.sent) == ("https://new.example", 2)


def test_after_a_reload_what_waits_goes_to_the_new_url_at_once(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    """It was tried at the wrong URL until the next failure brought the right one into use."""
    text = "# gcron-notify: ops url=https://{}.example/x\n# gcron: name=a notify=ops\n@yearly false\n"
    built = house(text.format("old"))
    postbox.fail = [DeliveryError("no")] * 7
    built.scheduler.trigger("a").result.get()
    while postbox.tries < 7:
        sleep(60)
    before = clock.now()
    built.scheduler.replace(jobs_of(parse(text.format("new"))))
    built.notifications.report_reload("")
    sleep(0.1)

    assert len(postbox.delivered) == 1
    assert clock.now() - before < 1
    (counts,) = built.notifications.counts()
    assert (counts.where, counts.sent, counts.waiting) == ("https://new.example", 1, 0)


def test_after_a_reload_the_new_quiet_hours_hold(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    text = "# gcron-notify: ops url=https://a.example{}\n# gcron: name=a notify=ops notify-again=0\n@yearly false\n"
    hour = int(clock.now() % 86400) // 3600
    built = house(text.format(""))
    run(built, "a")
    built.scheduler.replace(jobs_of(parse(text.format(f" quiet={hour:02}:00-{(hour + 2) % 24:02}:00"))))
    built.notifications.report_reload("")
    built.scheduler.trigger("a").result.get()
    sleep(600)

    assert built.notifications.counts()[0].waiting == 1
    assert len(postbox.delivered) == 1


def test_what_waits_for_a_target_that_is_removed_is_delivered_and_then_the_target_is_forgotten(
    house: Callable[..., House], postbox: Postbox
) -> None:
    """Each reload with another MAILTO left a channel more, for ever: a user with a crontab can do that all day."""
    built = house("# gcron: name=a\nMAILTO=u0\n@yearly false\n")
    for number in range(20):
        postbox.fail = [DeliveryError("no")]
        built.scheduler.replace(jobs_of(parse(f"MAILTO=u{number}\n# gcron: name=a notify-again=0\n@yearly -n false\n")))
        built.notifications.report_reload("")
        run(built, "a")
        assert len(built.notifications.counts()) <= 3
    postbox.fail = [DeliveryError("no")]
    built.scheduler.trigger("a").result.get()
    built.scheduler.replace(jobs_of(parse("# gcron: name=a\n@yearly false\n")))
    built.notifications.report_reload("")
    assert [counts.waiting for counts in built.notifications.counts()] == [1]
    settle(built)
    built.notifications.report_reload("")

    assert postbox.kinds("MAILTO=u19") == ["failure", "failure"]
    assert built.notifications.counts() == []


# -- deliveries that fail ---------------------------------------------------------------------------------------------


def test_a_delivery_is_tried_again_with_longer_pauses(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")
    postbox.fail = [DeliveryError("status 503") for _ in range(3)]
    started = clock.now()
    run(built, "backup")

    assert postbox.titles() == ["backup failed: exit status 1"]
    assert 70 <= clock.now() - started < 72
    (counts,) = built.notifications.counts()
    assert (counts.sent, counts.failed, counts.lost, counts.last_error) == (1, 3, 0, "")
    assert built.log == [
        "notify ops (https://hooks.example): not delivered: status 503; tried again in 10 s",
        "notify ops: messages are delivered again",
    ]


def test_a_receiver_may_ask_for_a_longer_pause(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")
    postbox.fail = [DeliveryError("status 429", retry_after=300.0)]
    started = clock.now()
    run(built, "backup")

    assert 300 <= clock.now() - started < 302


def test_a_final_failure_is_counted_and_logged(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")
    postbox.fail = [DeliveryError("status 410", final=True)]
    run(built, "backup")

    (counts,) = built.notifications.counts()
    assert (counts.sent, counts.lost, counts.last_error, postbox.tries) == (0, 1, "status 410", 1)
    assert built.log == [
        "notify ops (https://hooks.example): given up: 'backup failed: exit status 1': status 410",
    ]


def test_after_a_day_a_message_is_given_up(house: Callable[..., House], clock: VirtualClock, postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")
    postbox.fail = [DeliveryError("status 503") for _ in range(1000)]
    started = clock.now()
    run(built, "backup")

    assert 86400 < clock.now() - started <= 86400 + 902
    (counts,) = built.notifications.counts()
    assert (counts.lost, counts.waiting) == (1, 0)


def test_a_sender_that_breaks_shows_no_secret(house: Callable[..., House], postbox: Postbox, capfd: object) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")

    class Broken(Exception):
        blocks = False

        def send(self, message: object) -> str:
            raise Broken("https://hooks.example/SECRET")

    built.notifications._channels._make = lambda route, settings: Broken()
    built.scheduler.trigger("backup").result.get()
    until(lambda: built.log)

    assert built.log == [
        "notify ops (https://hooks.example): not delivered: gcron itself failed: Broken; tried again in 10 s"
    ]
    assert "SECRET" not in capfd.readouterr().err  # type: ignore[attr-defined]


def test_a_delivery_that_hangs_is_given_up_and_no_second_one_begins_beside_it(
    make_house: Callable[..., House],
) -> None:
    """Nothing can end a thread in a lookup of a name. A thread for each try would fill the machine."""
    hanging, calls = threading.Event(), []

    class Hanging:
        blocks = True

        def send(self, message: Message) -> str:
            calls.append(message.message_id)
            return "in the end" if hanging.wait(PATIENCE) else ""

    patience = Patience(delivery=0.1, first_pause=0.05, longest_pause=0.05, stop=0.5)
    built = make_house(
        OPS + "# gcron: name=backup notify=ops\n@manual false\n",
        SystemClock(),
        lambda route, settings: Hanging(),
        patience=patience,
    )
    built.scheduler.trigger("backup").result.get()
    until(lambda: built.notifications.counts() and built.notifications.counts()[0].failed >= 3)

    (counts,) = built.notifications.counts()
    assert (len(calls), counts.last_error) == (1, "an earlier delivery still hangs")
    assert built.log == [
        "notify ops (https://hooks.example): not delivered: no answer within 0.1 s; tried again in 0.05 s"
    ]
    hanging.set()
    until(lambda: built.notifications.counts()[0].sent == 1)
    assert len(calls) == 2


def test_what_a_run_printed_is_text_that_any_receiver_takes(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("MAILTO=ops\n# gcron: name=a\n@manual printf 'a\\0\\033[1mb\\377\\r\\nc\\n'\n")

    run(built, "a")

    assert postbox.delivered[0][1].output == "a\ufffd\ufffd[1mb\ufffd\nc\n"


def test_of_long_output_the_middle_is_left_out(house: Callable[..., House], postbox: Postbox) -> None:
    built = house("MAILTO=ops\n# gcron: name=a\n@manual seq 100000\n")

    run(built, "a")

    output = postbox.delivered[0][1].output
    assert output.startswith("1\n2\n")
    assert output.endswith("99999\n100000\n")
    assert "[… 490591 bytes are left out …]" in output


def test_a_thousand_failures_in_a_second_with_a_dead_target_are_one_digest(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    lines = "".join(f"# gcron: name=j{number} every=1h\n* * * * * false\n" for number in range(1000))
    built = house(OPS + "# gcron-defaults: notify=ops\n" + lines)
    postbox.fail = [DeliveryError("no connection") for _ in range(5)]
    built.scheduler.start()
    until(lambda: len(built.recorder.outcomes()) == 1000)
    assert {event.fire_at for event in built.recorder.of("run-finished")} == {int(clock.now()) // 3600 * 3600}
    settle(built)

    assert postbox.kinds() == ["failure"] * 20 + [DIGEST]
    assert postbox.delivered[-1][1].title == "gcron: 980 messages (980 failure)"
    assert not built.recorder.of("run-late")


# -- the end, and a restart -------------------------------------------------------------------------------------------


def test_a_stop_delivers_what_waits_for_a_digest(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops notify-again=0\n@manual false\n")
    for _ in range(25):
        built.scheduler.trigger("backup").result.get()
    built.notifications.stop()

    assert postbox.kinds() == ["failure"] * 20 + [DIGEST]


def test_what_is_not_delivered_is_in_the_log_at_the_end(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n")
    postbox.fail = [DeliveryError("no connection") for _ in range(10)]
    built.scheduler.trigger("backup").result.get()
    built.notifications.stop()

    assert built.log[-1] == "notify ops (https://hooks.example): not delivered, and lost: 1: no connection"
    assert postbox.tries == 2  # the second one at the end


def test_after_a_stop_messages_are_delivered_again(house: Callable[..., House], postbox: Postbox) -> None:
    """A scheduler may start again, and its observers stay."""
    built = house(OPS + "# gcron: name=backup notify=ops notify-again=0\n@manual false\n")
    run(built, "backup")
    built.notifications.stop()
    postbox.fail = [DeliveryError("no connection")]
    run(built, "backup")

    assert len(postbox.delivered) == 2


class MemoryMessages:
    """Keeps messages as long as it lives itself."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], KeptMessage] = {}

    def append_messages(self, messages: Sequence[KeptMessage]) -> None:
        """See `MessageStore`."""
        self._kept.update({(kept.message_id, kept.target): kept for kept in messages})

    def drop_messages(self, message_ids: Sequence[tuple[str, str]]) -> None:
        """See `MessageStore`."""
        for key in message_ids:
            self._kept.pop(key, None)

    def list_messages(self, after: KeptMessage | None = None) -> list[KeptMessage]:
        """See `MessageStore`."""
        return sorted(self._kept.values(), key=lambda kept: kept.time) if after is None else []


def test_what_is_not_delivered_is_told_after_a_restart(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    store = MemoryMessages()
    text = OPS + "# gcron: name=backup notify=ops\n@manual false\n"
    first = house(text, store=store)
    postbox.fail = [DeliveryError("no connection") for _ in range(2)]
    first.scheduler.trigger("backup").result.get()
    first.notifications.stop()
    assert (
        first.log[-1]
        == "notify ops (https://hooks.example): not delivered, and kept for the next start: 1: no connection"
    )
    assert len(store.list_messages()) == 1

    second = house(text, store=store)
    second.notifications.start()
    until(lambda: postbox.delivered)
    second.notifications.stop()

    assert postbox.titles() == ["backup failed: exit status 1"]
    assert store.list_messages() == []


def test_a_digest_that_is_delivered_is_not_told_again(house: Callable[..., House], postbox: Postbox) -> None:
    store = MemoryMessages()
    built = house(OPS + "# gcron: name=backup notify=ops notify-again=0\n@manual false\n", store=store)
    for _ in range(25):
        built.scheduler.trigger("backup").result.get()
    until(lambda: len(postbox.delivered) == 21)
    built.notifications.stop()

    assert store.list_messages() == []


def test_a_message_for_a_target_that_has_gone_is_given_up(house: Callable[..., House], postbox: Postbox) -> None:
    store = MemoryMessages()
    first = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n", store=store)
    postbox.fail = [DeliveryError("no connection") for _ in range(2)]
    first.scheduler.trigger("backup").result.get()
    first.notifications.stop()

    second = house("# gcron: name=backup\n@manual false\n", store=store)
    second.notifications.start()
    until(lambda: second.log)
    second.notifications.stop()

    assert second.log == ["notify ops: given up: 1: there is no such target any more"]
    assert [(counts.target, counts.lost) for counts in second.notifications.counts()] == [("ops", 1)]
    assert store.list_messages() == []


def test_a_job_that_runs_once_has_messages(house: Callable[..., House], clock: VirtualClock, postbox: Postbox) -> None:
    """It was out of the table before its end was looked at."""
    built = house(OPS + "# gcron: name=other notify=ops\n@manual false\n")
    (other,) = built.scheduler.jobs
    moment = at(datetime.fromtimestamp(clock.now() + 60, UTC))
    once = replace(other, name="once", schedule=schedule_of(moment, UTC, "once"))
    built.scheduler.add(once)
    built.scheduler.start()
    sleep(61)
    settle(built)
    assert built.scheduler.get_job("once") is None
    assert postbox.titles() == ["once failed: exit status 1"]


def test_messages_that_are_too_old_after_a_restart_are_given_up_and_counted_once(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    store = MemoryMessages()
    text = OPS + "# gcron: name=backup notify=ops notify-again=0\n@manual false\n"
    first = house(text, store=store)
    postbox.fail = [DeliveryError("no connection") for _ in range(9)]
    for _ in range(3):
        first.scheduler.trigger("backup").result.get()
    first.notifications.stop()
    assert len(store.list_messages()) == 3
    postbox.fail = []

    clock.jump(2 * 86400)
    second = house(text, store=store)
    second.notifications.start()
    until(lambda: second.log)

    why = "gcron did not run for so long that they are older than 1 d 0 h"
    assert second.log == [f"notify ops (https://hooks.example): given up: 3: {why}"]
    (counts,) = second.notifications.counts()
    assert (counts.sent, counts.waiting, counts.lost) == (0, 0, 3)
    assert (store.list_messages(), postbox.delivered) == ([], [])


def test_what_waits_is_delivered_when_the_scheduler_starts_again(
    house: Callable[..., House], clock: VirtualClock, postbox: Postbox
) -> None:
    """It waited until the next message for the same target. It is on disk, too, and was then delivered twice."""
    store = MemoryMessages()
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n", store=store)
    built.notifications.start()
    postbox.fail = [DeliveryError("no connection") for _ in range(2)]
    built.scheduler.trigger("backup").result.get()
    built.notifications.stop()
    assert len(store.list_messages()) == 1
    built.notifications.start()
    until(lambda: postbox.delivered)
    sleep(60)
    assert postbox.titles() == ["backup failed: exit status 1"]
    assert store.list_messages() == []


class BrokenStore(MemoryMessages):
    def list_messages(self, after: object = None) -> Any:
        raise StoreUnavailable("disk full")


class SlowStore(MemoryMessages):
    """Lists what it had when the latest message came, and waits for one to come."""

    def __init__(self, kept: list[KeptMessage]) -> None:
        super().__init__()
        super().append_messages(kept)
        self._news = Event()
        self._listed: list[KeptMessage] = []

    def append_messages(self, messages: Sequence[KeptMessage]) -> None:
        super().append_messages(messages)
        self._listed = super().list_messages()
        self._news.set()

    def list_messages(self, after: KeptMessage | None = None) -> list[KeptMessage]:
        self._news.wait()
        return self._listed if after is None else []


class FailingStore(MemoryMessages):
    """Fails once, after it has listed its first messages."""

    has_failed = False

    def list_messages(self, after: KeptMessage | None = None) -> list[KeptMessage]:
        if after is not None and not self.has_failed:
            self.has_failed = True
            raise StoreUnavailable("disk full")
        return super().list_messages(after)


def kept_failure(house: Callable[..., House], postbox: Postbox, text: str) -> list[KeptMessage]:
    """What a gcron leaves whose target did not answer."""
    store = MemoryMessages()
    first = house(text, store=store)
    postbox.fail = [DeliveryError("no connection") for _ in range(2)]
    first.scheduler.trigger("backup").result.get()
    first.notifications.stop()
    return store.list_messages()


def test_what_fails_while_old_messages_are_listed_is_told_once(house: Callable[..., House], postbox: Postbox) -> None:
    """The start found its own message among the old ones, and delivered it a second time: on-failure= ran twice."""
    text = OPS + "# gcron: name=backup notify=ops notify-again=0\n@manual false\n"
    kept = kept_failure(house, postbox, text)
    second = house(text, store=SlowStore(kept))
    second.notifications.start()
    run(second, "backup")
    until(lambda: len(postbox.delivered) >= 2)
    second.notifications.stop()

    ids = [message.message_id for _, message in postbox.delivered]
    assert (len(ids), len(set(ids)), kept[0].message_id in ids) == (2, 2, True)


def test_what_is_listed_again_after_a_failure_is_told_once(house: Callable[..., House], postbox: Postbox) -> None:
    """A start delivers what it can read. The next start of the same scheduler must not take it for new."""
    text = OPS + "# gcron: name=backup notify=ops\n@manual false\n"
    store = FailingStore()
    store.append_messages(kept_failure(house, postbox, text))
    second = house(text, store=store)
    postbox.fail = [DeliveryError("no connection") for _ in range(3)]
    second.notifications.start()
    until(lambda: second.log)
    second.notifications.stop()
    second.notifications.start()
    until(lambda: not store.list_messages())
    settle(second)
    second.notifications.stop()

    assert (len(postbox.delivered), postbox.tries) == (1, 6)


def test_a_store_that_fails_delays_no_message(house: Callable[..., House], postbox: Postbox) -> None:
    built = house(OPS + "# gcron: name=backup notify=ops\n@manual false\n", store=BrokenStore(), patience=Patience())
    built.notifications.start()
    run(built, "backup")
    built.notifications.stop()

    assert postbox.titles() == ["backup failed: exit status 1"]
    why = "messages of before the start cannot be read, and wait for the next start: disk full"
    assert built.log == [f"notify: {why}"]
