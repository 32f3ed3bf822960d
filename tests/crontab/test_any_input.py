"""Any input at all: no exception, no endless work, and a printed entry reads as itself."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.crontab import Entry, parse, render

SCHEDULES = [b"* * * * * ", b"0 3 * * 1-5 ", b"@daily ", b"@every 5m ", b"H ", b"~", b"61 "]
WORDS = [
    b"A=",
    b"CRON_TZ=",
    b"# gcron: ",
    b"# gcron-defaults: ",
    b"# gcron-file: fields=seconds-first ",
    b"# gcron-group: db limit=2 ",
    b"name=x ",
    b"timeout=5 ",
    b"tz=UTC ",
    b"root ",
    b"-n ",
]
MARKS = [b"'", b'"', b"\\", b"%", b"\n", b"\r\n", b"\t", b" ", b"-", b"="]
NOW = 1_780_000_000.0
BYTES = [b"\xff", b"\xef\xbb\xbf", "日".encode(), b"\x1b", b"\0"]
PIECES = st.sampled_from([*SCHEDULES, *WORDS, *MARKS, *BYTES])
MIX = st.lists(PIECES, max_size=25).map(b"".join)


@given(st.binary(max_size=200) | MIX, st.booleans())
def test_no_bytes_make_parse_raise_or_show_a_control_character(data: bytes, system: bool) -> None:
    for problem in parse(data, system=system).problems:
        shown = render(problem)
        assert shown.replace("\n", "").isprintable()


VALID = (
    b'SHELL=/bin/sh\nCRON_TZ=Europe/Berlin\nMAILTO="ops@example.com"\n# gcron-defaults: timeout=1h\n'
    b"# gcron-group: db limit=2\n\n# gcron: name=backup description='nightly dump'\n"
    b"30 2 * * 1-5  pg_dump orders | gzip > /backup/orders.gz\n*/15 8-18 L,15W jan-mar 5L,1#2 date +\\%F%in%put\n"
    b"@every 90s poll\n-@daily -n report\n0 30 2 * * ? 2026 once\nH H(1-5) * * * spread\n"
)
EDITS = st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 6), st.binary(max_size=3) | PIECES), max_size=6)


@given(EDITS, st.booleans())
def test_a_mutated_crontab_has_entries_or_problems(edits: list[tuple[int, int, bytes]], system: bool) -> None:
    data = VALID
    for position, length, text in edits:
        data = data[:position] + text + data[position + length :]

    crontab = parse(data, system=system)

    for problem in crontab.problems:
        assert problem.line <= data.count(b"\n") + 1
        assert render(problem).replace("\n", "").isprintable()
    for entry in crontab.entries:
        entry.schedule.next_after(1_750_000_000)


@given(st.text(max_size=100))
def test_no_text_makes_parse_raise(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    "data",
    [
        b" " * 300_000 + b"x",
        b"=" * 300_000,
        b"* " * 150_000,
        b"* * * * * a" + b"%" * 300_000,
        b"# gcron: " + b"x=1 " * 75_000,
        b"# gcron: name=" + b"'\"\\" * 100_000,
        b"# gcron" + b" " * 300_000,
        b"x" * 300_000 + b" " * 300_000 + b"x",
        b"A=1\n* * * * * x\n" * 20_000,
        b"".join(b"A%d=1\n* * * * * x\n" % number for number in range(15_000)),
        b"# gcron: xname=1\n" * 20_000,
        b"# gcron-group: " + b"x" * 300_000,
        b"".join(b"# gcron-group: g%d limit=1\n" % number for number in range(15_000)),
        b"* * * * *" + b" mon" * 75_000,
        b"* * * * * mon" + b",mon" * 75_000 + b"!",
        b"* * * * * " + b"1" * 300_000 + b"!",
        b"0 0 0 1 1 ? 1970 x\n" * 15_000,
        b"* * * * * x\r\n" * 20_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_hostile_text_is_read_in_linear_time(data: bytes) -> None:
    start = time.process_time()

    parse(data)

    # Linear takes some tenths of a second at most; the square of these lengths takes minutes.
    assert time.process_time() - start < 5


commands = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters="\\"),
    min_size=1,
    max_size=20,
).filter(lambda text: not text[0].isspace() and text[0] not in "-0123456789*?%")


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(
    schedule=st.sampled_from(["*/5 * * * *", "@daily", "@every 90s", "0 9 * * mon-fri"]),
    command=commands,
    lines=st.none() | st.lists(commands, max_size=3),
    user=st.none() | st.sampled_from(["root", "www-data"]),
    tz=st.none() | st.sampled_from(["UTC", "Asia/Tokyo"]),
    mail_on_failure=st.booleans(),
    quiet=st.booleans(),
    environment=st.dictionaries(st.sampled_from(["A", "PATH", "MAILTO"]), st.sampled_from(["", "x y", " z "])),
)
def test_a_printed_entry_reads_as_itself(
    schedule: str,
    command: str,
    lines: list[str] | None,
    user: str | None,
    tz: str | None,
    mail_on_failure: bool,
    quiet: bool,
    environment: dict[str, str],
) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in environment.items())
    text += (
        f"# gcron: name=job{f' tz={tz}' if tz else ''}\n{'-' if quiet else ''}{schedule} {f'{user} ' if user else ''}"
    )
    text += f"{'-n ' if mail_on_failure else ''}{escaped(command)}{printed(lines)}\n"

    (entry,) = parse(text, system=user is not None).entries

    assert entry.name == "job"
    assert (entry.schedule_text, entry.user, entry.tz) == (schedule, user, tz)
    assert (entry.mail_on_failure, entry.quiet) == (mail_on_failure, quiet)
    assert dict(entry.environment) == environment
    assert (entry.command, entry.stdin) == (command, given_input(lines))
    assert isinstance(entry, Entry)


def escaped(text: str) -> str:
    return text.replace("%", "\\%")


def printed(lines: list[str] | None) -> str:
    return "" if lines is None else "%" + "".join(f"{escaped(line)}%" for line in lines)


def given_input(lines: list[str] | None) -> bytes | None:
    return None if lines is None else "".join(f"{line}\n" for line in lines).encode()


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "", "-", " "]),
        st.sampled_from(["0 3 * * *", "*/9 3\t* * 1-5", "*/90 3 * * *", "0 3 31 2 *", "@daily"]),
        st.sampled_from([" ", "\t ", " 7 ", " mon ", " ? 2025 ", " root "]),
        st.text("/%\\-ab *\r", max_size=6).map("/".__add__) | st.text("/%\\-ab *\r", max_size=6),
    ).map("".join),
    min_size=1,
    max_size=4,
).map("\n".join)


@settings(max_examples=5 * settings.default.max_examples)
@given(LINES, st.booleans())
def test_a_plain_line_is_read_as_any_other(text: str, system: bool) -> None:
    """Most lines are taken apart by one expression. Without it, all lines go the long way, to the same entries."""
    with pytest.MonkeyPatch.context() as patch:
        quick = parse(text, system=system, now=NOW)
        patch.setattr("gcron.crontab.entry_reader.PLAIN_LINE", re.compile("(?!)"))

        assert parse(text, system=system, now=NOW) == quick


@pytest.mark.parametrize(
    "line",
    [
        "0 3 * * * /usr/bin/backup --all",
        "*/90 3 * * *\t/usr/bin/backup  ",
        "0 3 * * * /usr/bin/backup\r",
        "61 3 * * * /usr/bin/backup",
        "0 3 31 2 * /usr/bin/backup",
        "H 3 * * * /usr/bin/backup",
        "* * * * 1-5 / ",
        "0 0 0 1 1 ? 2025 /bin/true",
        "0 3 * * */2 /bin/date +%F",
        "0 3 * * * /bin/a \\",
    ],
)
@pytest.mark.parametrize("above", ["", "# gcron: name=x every=5m\n", "RANDOM_DELAY=5\nCRON_TZ=Asia/Tokyo\n"])
def test_a_line_with_the_path_of_a_program_is_read_as_any_other(
    line: str, above: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = parse(f"{above}{line}\n", now=NOW)
    monkeypatch.setattr("gcron.crontab.entry_reader.PLAIN_LINE", re.compile("(?!)"))

    assert parse(f"{above}{line}\n", now=NOW) == quick
