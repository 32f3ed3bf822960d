"""A large crontab: what is equal is shared, so that an entry costs little more than its own text."""

import tracemalloc

from gcron.crontab import parse

COUNT = 20_000
LARGE = "CRON_TZ=Europe/Berlin\n" + "".join(
    f"{number % 60} {number // 60 % 24} * * {number % 7} /usr/local/bin/job-{number} --customer {number % 500}\n"
    for number in range(COUNT)
)


def test_entries_with_the_same_expression_share_schedule_environment_and_policy() -> None:
    first, second = parse("A=1\n5 4 * * * a\n5 4 * * * b\n").entries

    assert first.schedule is second.schedule
    assert first.schedule_text is second.schedule_text
    assert first.environment is second.environment
    assert first.policy is second.policy


def test_an_entry_takes_less_than_a_kilobyte() -> None:
    parse(LARGE)  # fills the caches of fields and day rules, which are the process's, not the entries'
    tracemalloc.start()
    crontab = parse(LARGE)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(crontab.entries) == COUNT
    assert size / COUNT < 1024


def test_parsed_text_may_be_larger_than_a_file_may() -> None:
    text = LARGE * 2

    assert len(text) > 1024 * 1024
    assert len(parse(text).entries) == 2 * COUNT
