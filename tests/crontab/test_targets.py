"""`# gcron-notify:`, `notify=` and MAILTO: where messages go, as data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gcron.crontab import CrontabError, LoadSettings, Target, load_all, machine, parse, render
from gcron.crontab.target import KINDS, TARGET_OPTIONS
from gcron.scheduler.job import jobs_of


def errors(text: str) -> list[str]:
    return [problem.message for problem in parse(text).errors]


def test_a_target_has_a_name_a_url_and_the_messages_that_it_gets() -> None:
    crontab = parse("# gcron-notify: ops url=mailto:ops@example.com on=failure,recovery quiet=22:00-07:00\n")

    assert crontab.problems == ()
    (target,) = crontab.targets
    assert target == Target(
        "ops", "mailto:ops@example.com", on=("failure", "recovery"), quiet=(1320, 420), path="<crontab>", line=1
    )


def test_mail_of_a_target_comes_from_mailfrom_above_it_or_from_its_own_address() -> None:
    """It came from root@host, which mail servers refuse, and nothing could change that."""
    a, b, c = parse(
        "# gcron-notify: a url=mailto:ops@example.com\nMAILFROM=backup@example.com\n"
        "# gcron-notify: b url=mailto:ops@example.com\n"
        "# gcron-notify: c url=mailto:ops@example.com mail-from=other@example.com\n"
    ).targets

    assert [target.mail_from for target in (a, b, c)] == ["", "backup@example.com", "other@example.com"]
    assert errors("# gcron-notify: a url=mailto:ops@example.com mail-from=|id") == ["mail-from cannot be '|id'"]


def test_a_ping_has_a_style() -> None:
    (target,) = parse("# gcron-notify: hc ping=https://hc-ping.com/UUID\n").targets

    assert (target.url, target.ping_style) == ("https://hc-ping.com/UUID", "healthchecks")


def test_files_of_a_target_are_beside_the_crontab() -> None:
    text = "# gcron-notify: hook url-file=url secret-file=/run/key body-file=body.j2\n"
    (target,) = parse(text, "/etc/jobs/crontab").targets

    assert (target.url_file, target.secret_file, target.body_file) == ("/etc/jobs/url", "/run/key", "/etc/jobs/body.j2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# gcron-notify: url=https://a.example", "a target needs a name"),
        ("# gcron-notify: ops", "the target ops has no URL"),
        ("# gcron-notify: ops on=failure", "the target ops has no URL"),
        ("# gcron-notify: ops url=https://a.example ping=https://b.example", "the target ops has url and ping"),
        ("# gcron-notify: ops url=nowhere", "url is no URL"),
        ("# gcron-notify: ops url=mailto:nobody@", "url has no address of mail"),
        ("# gcron-notify: ops url=mailto:|id@a.example", "url has no address of mail"),
        ("# gcron-notify: ops url=mailto://me:S3CRET@mail.example", "url has no address of mail"),
        ("# gcron-notify: ops ping=mailto:a@b.example", "ping is no URL that can be called"),
        ("# gcron-notify: ops url=https://a.example on=failures", "on cannot be 'failures'"),
        ("# gcron-notify: ops url=https://a.example quiet=22-7", "quiet cannot be '22-7'"),
        ("# gcron-notify: ops url=https://a.example quiet=07:00-07:00", "quiet cannot be '07:00-07:00'"),
        ("# gcron-notify: ops ping=https://a.example ping-style=pigeon", "ping-style cannot be 'pigeon'"),
        ("# gcron-notify: ops ping=https://a.example on=failure", "on= means nothing to a ping"),
        ("# gcron-notify: ops url=mailto:a@b.example secret-file=key", "secret-file is for a webhook"),
        ("# gcron-notify: ops url=https://a.example colour=red", "unknown option 'colour'"),
    ],
)
def test_a_wrong_target_is_an_error(text: str, message: str) -> None:
    assert errors(text + "\n") == [message]


def test_a_target_is_declared_once() -> None:
    text = "# gcron-notify: ops url=https://a.example\n# gcron-notify: ops url=https://b.example\n"

    assert errors(text) == ["the target ops is declared in line 1"]


@pytest.mark.parametrize(
    "line",
    [
        "# gcron-notify: ops url=https://hooks.example/services/T0/S3CRET colour=red",
        "# gcron-notify: ops url=mailto://me:S3CRET@mail.example",
        "# gcron-notify: ops colour=red url=slack://S3CRET/S3CRET/S3CRET",
        "# gcron-notify: ops url='https://me:S3CRET@a.example/S3CRET' colour=red",
        "# gcron-notify: ops url=S3CRET",
        "# gcron-notify: ops ping=ftp://S3CRET",
    ],
)
def test_no_message_about_a_target_shows_its_url(line: str) -> None:
    """Problems show their line, go into the log at a reload, and into bug reports."""
    (problem,) = parse(line + "\n").errors
    shown = render(problem)

    assert "S3CRET" not in shown
    assert len(shown.splitlines()[1]) == len("    ") + len(line)


def test_jobs_get_the_targets_that_they_name() -> None:
    text = (
        "# gcron-notify: ops url=mailto:ops@example.com\n# gcron-notify: hc ping=https://hc.example\n"
        "# gcron: name=a notify=ops,hc\n@daily -n a\n# gcron: name=b\n@daily b\n"
    )
    a, b = jobs_of(parse(text))

    assert [target.name for target in a.targets] == ["ops", "hc"]
    assert (a.mail_on_failure, b.targets, b.mail_on_failure) == (True, (), False)


def test_another_url_makes_it_no_other_job() -> None:
    """Otherwise a reload would restart a service whose messages go elsewhere."""
    text = "# gcron-notify: ops url=mailto:{}@example.com\n# gcron: name=a notify=ops\n@service a\n"
    (one,), (other,) = (jobs_of(parse(text.format(name))) for name in ("x", "y"))

    assert one == other
    assert one.targets != other.targets


def test_a_variable_that_is_not_there_is_warned_about_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gcron check` was silent, and the first failure that mattered was not sent."""
    monkeypatch.setenv("THERE", "x")
    monkeypatch.delenv("MISSING", raising=False)
    text = "# gcron-notify: ops url=https://a.example/${THERE}/${MISSING}\n# gcron-notify: hc ping=${MISSING}\n"
    problems = parse(text, "crontab").problems

    assert [(problem.severity, problem.line) for problem in problems] == [("warning", 1), ("warning", 2)]
    for line, problem in zip(text.splitlines(), problems, strict=True):
        assert line[problem.column - 1 : problem.end_column - 1] == "${MISSING}"
    assert all("no variable MISSING" in problem.message for problem in problems)
    assert all("a.example" not in problem.source_line for problem in problems), "a URL may be a secret"


def test_a_target_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    text = "# gcron-notify: ops url=mailto:ops@example.com\n# gcron: notify=opps\n@daily a\n"
    (tmp_path / "crontab").write_text(text)
    (problem,) = load_all([str(tmp_path / "crontab")], LoadSettings()).errors

    assert (problem.line, problem.message) == (3, "notify= names 'opps', which is no target")
    assert problem.hint == "did you mean ops?; or declare it: # gcron-notify: opps url=https://…"
    with pytest.raises(CrontabError):
        jobs_of(parse(text))


def test_files_that_are_loaded_together_share_targets(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("# gcron-notify: ops url=mailto:ops@example.com\n")
    (tmp_path / "b").write_text("# gcron: notify=ops\n@daily b\n")
    (tmp_path / "c").write_text("# gcron-notify: ops url=mailto:others@example.com\n")

    assert list(load_all([str(tmp_path / "a"), str(tmp_path / "b")], LoadSettings()).targets) == ["ops"]
    loaded = load_all([str(tmp_path / name) for name in "abc"], LoadSettings())
    assert [problem.message for problem in loaded.errors] == [
        f"the target ops is declared in {tmp_path / 'a'}:1",
    ]


def test_the_documentation_has_each_option_with_its_help() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")

    for option in TARGET_OPTIONS.values():
        assert f"| `{option.name}` | {option.help} |\n" in page
    for kind in KINDS:
        assert f"`{kind}`" in page


def test_mailto_is_warned_about_where_nothing_sends_mail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With `gcron run --mailer`, too, gcron warned that nothing sends mail, and asked for a mailer."""
    monkeypatch.setattr(machine, "SENDMAIL", str(tmp_path / "sendmail"))
    (warning,) = parse("MAILTO=ops@example.com\nMAILFROM=cron@example.com\n@daily -n a\n").warnings
    assert warning.message == "nothing on this machine sends mail"

    (tmp_path / "crontab").write_text("MAILTO=ops@example.com\n@daily -n a\n")
    assert load_all([str(tmp_path / "crontab")], LoadSettings(names_mailer=True)).problems == ()
    (tmp_path / "sendmail").touch(mode=0o755)
    assert parse("MAILTO=ops@example.com\n@daily -n a\n").problems == ()


def test_an_addressee_that_is_no_address_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SENDMAIL", sys.executable)
    (warning,) = parse("MAILTO=|/bin/sh\n@daily a\n").warnings

    assert (warning.line, warning.column) == (1, 8)
    assert warning.message == "'|/bin/sh' is no address: no mail is sent"
    for right in ("", '""', "root", "a@b.example,c@d.example", '"a@b.example, c@d.example"', "a@b.example c@d.example"):
        assert parse(f"MAILTO={right}\n@daily a\n").problems == ()


def test_a_sender_that_is_no_address_is_warned_about() -> None:
    """It was found when the first mail was given up."""
    (warning,) = parse("MAILFROM=not an address\n@daily a\n").warnings

    assert (warning.line, warning.column) == (1, 10)
    assert warning.message == "'not an address' is no address for a mail to come from"
    for right in ("", "root", "cron@example.com", '"Backups <backup@example.com>"'):
        assert parse(f"MAILFROM={right}\n@daily a\n").problems == ()
