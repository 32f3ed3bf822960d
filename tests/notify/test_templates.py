"""Templates for webhooks: what they see, and what a hostile one cannot do."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gcron.notify import template as templates
from gcron.notify.delivery import DeliveryError
from gcron.notify.message import Message, record_of
from gcron.notify.outbox import Outbox
from gcron.notify.template import render
from gcron.notify.wording import message_about_reload
from gcron.notify.wording import test_message as message_of_a_test

PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"


def failure_of(template: str, record: dict[str, object] | None = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        render(template, record or {})
    return caught.value


def test_a_template_has_the_fields_of_the_record() -> None:
    assert render("é {{ job }}", {"job": "ü", "n": 3}) == "é ü"
    assert json.loads(render('{"text": {{ (job ~ "<" ~ n) | tojson }}}', {"job": "é", "n": 3})) == {"text": "é<3"}


def digest() -> Message:
    outbox = Outbox(per_minute=0)
    for number in range(2):
        outbox.put(Message(f"m{number}", "failure", 0.0, "backup failed", "backup", record={"job": "backup"}), 0.0)
    made = outbox.take(60.0)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (message_of_a_test("ops", 0.0), "gcron: this is a test on gcron-test"),
        (message_about_reload("61 is out of range", 0.0), "gcron: the crontab on disk is wrong: the jobs stay as th"),
        (digest(), "gcron: 2 messages (2 failure) on "),
    ],
    ids=["test", "reload", "digest"],
)
def test_the_template_of_the_page_works_for_each_kind_of_message(message: Message, text: str) -> None:
    """A digest, a message about a reload and the test of `gcron notify` had no `job`: they were given up."""
    (template,) = re.findall(r"```jinja\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert json.loads(render(template, record_of(message)))["text"].startswith(text)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("a\n{% if %}", "Expected an expression, got 'end of statement block' in line 2"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{% include '/etc/passwd' %}", "TypeError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{% for i in range(1000000) %}x{% endfor %}", "OverflowError"),
        ("{{ 'x' * 10 ** 10 }}", "MemoryError"),
        ("{{ ' '.ljust(2000000000) }}", "MemoryError"),
        ("{% for i in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "it makes more than 1 MiB"),
    ],
)
def test_a_template_that_is_wrong_huge_or_breaks_out_is_final(template: str, error: str) -> None:
    failure = failure_of(template)

    assert (str(failure), failure.final) == (f"body-file: {error}", True)


@pytest.mark.realtime
@pytest.mark.parametrize(
    "template",
    [
        "{{ 9 ** (9 ** 9) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ],
    ids=["a power", "loops"],
)
def test_a_template_that_does_not_end_is_ended(template: str) -> None:
    """In gcron's own process, a power held Python's lock: no job started any more. A loop kept a processor for ever."""
    failure = failure_of(template)

    assert failure.final
    assert str(failure) in (
        "body-file: it needs more than 5 s or 512 MiB",
        "body-file: it took more than 20 s",
        "body-file: MemoryError",
    )


def test_a_template_that_sleeps_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one would that waits for anything else than the processor."""
    monkeypatch.setattr(templates, "_PROGRAM", "import time; time.sleep(1000)")
    monkeypatch.setattr(templates, "_TIMEOUT", 0.3)

    assert str(failure_of("x")) == "body-file: it took more than 0.3 s"


def test_a_template_sees_nothing_of_gcrons_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", "SECRET")
    monkeypatch.setattr(templates, "_PROGRAM", "import os; print('{\"body\": \"%s\"}' % ' '.join(os.environ))")

    assert "SLACK_TOKEN" not in render("x", {})


def test_a_template_whose_process_is_killed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    failure = failure_of("x")

    assert (str(failure), failure.final) == ("body-file: its process was killed", False)


def test_without_a_process_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    failure = failure_of("x")

    assert (str(failure), failure.final) == ("body-file: no process for it: No such file or directory", False)
