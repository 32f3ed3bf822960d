"""The parts of pages that are pure: colours of output, strips of outcomes, pictures of a day, words."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.scheduler.history import JobSummary, sign_of_duration
from gcron.web.ansi import Converter
from gcron.web.quiet import quietest_minutes
from gcron.web.strips import strip
from gcron.web.timeline import coming_day
from gcron.web.words import ago, span, until


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@given(st.lists(st.text(alphabet=st.sampled_from("\x1b[0123456789;m<>&'\"\r\nab\x00\u202e\udcff"), max_size=12)))
def test_whatever_a_job_prints_is_text_however_it_is_cut(pieces: list[str]) -> None:
    cut, whole = Converter(), Converter()
    html = "".join(cut.convert(piece) for piece in pieces) + cut.convert("", is_last=True)
    assert set(re.findall(r"<[^>]*>", html)) <= {"</span>"} | set(re.findall(r"<span class='[a-z0-9 -]+'>", html))
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\udcff]", html)
    if not any("\r" in piece for piece in pieces):
        assert text_of(html) == text_of(whole.convert("".join(pieces), is_last=True))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("\x1b[31mred\x1b[0m plain", "<span class='a-31'>red</span> plain"),
        ("\x1b[1;4mx\x1b[22my", "<span class='a-b a-u'>x</span><span class='a-u'>y</span>"),
        ("\x1b[38;5;9mx\x1b[39my", "<span class='a-91'>x</span>y"),
        ("\x1b[38;2;1;2;3mx", "x"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("\x1b[99999999999999mx", "x"),
    ],
)
def test_colours_become_classes_and_other_controls_are_shown(text: str, html: str) -> None:
    assert Converter().convert(text, is_last=True) == html


def test_a_strip_differs_by_height_and_says_what_it_shows() -> None:
    outcomes = ["succeeded"] * 3 + ["failed", "skipped", "missed"]
    picture = str(strip(outcomes, [1.0, 2.0, 2.0, 9.0, None, None]))
    assert "aria-label='3 ok, 1 failed, 1 missed, 1 skipped'" in picture
    assert "class=ok d='M96 14v-8h4v-3h8V14'" in picture  # the first took half as long
    assert "class=bad d='M108 14v-14h4V14'" in picture  # higher than any success
    assert strip([], []) == ""


def test_a_strip_of_a_job_that_takes_the_same_each_time_is_short() -> None:
    assert len(str(strip(["succeeded"] * 30, [1.0 + number / 100 for number in range(30)]))) < 110
    assert len(str(strip(["succeeded"] * 30, [None] * 30))) < 110
    assert len(str(strip(["succeeded"] * 30, [0.0] * 30))) < 110


def test_a_duration_is_kept_right_within_an_eighth() -> None:
    for seconds in (0.001, 0.0042, 0.1, 1.0, 59.0, 3600.0, 7 * 86400.0):
        (kept,) = JobSummary("job", "s", sign_of_duration(seconds)).recent_durations
        assert kept == pytest.approx(seconds, rel=0.13)
    signs = sign_of_duration(None) + sign_of_duration(0.0) + sign_of_duration(1e9)
    nothing, shortest, longest = JobSummary("job", "-ss", signs).recent_durations
    assert (nothing, shortest) == (None, 0.001)
    assert longest is not None
    assert longest > 7 * 86400


def test_outcomes_of_before_durations_were_kept_have_none() -> None:
    assert JobSummary("job", "sss", sign_of_duration(1.0)).recent_durations == (
        None,
        None,
        pytest.approx(1.0, rel=0.13),
    )


def test_the_quietest_minutes_are_far_from_what_is_due_and_from_each_other() -> None:
    minutes = [1 if 120 <= minute < 1320 else 0 for minute in range(1440)]
    found = quietest_minutes(minutes, count=2)
    assert len(found) == 2
    for time in found:
        assert time.others == 0
        assert time.place >= 1325 or time.place < 115
        assert 5 < time.place % 30 < 25
    first, second = (time.place for time in found)
    assert 120 <= second - first <= 1320
    assert quietest_minutes([1] * 1440)[0].others == 11


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "40 ms"), (1.24, "1.2 s"), (59.7, "1 min"), (302, "5 min 2 s"), (11400, "3 h 10 min")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_distances_are_short() -> None:
    assert (ago(0.2), ago(59), ago(7200)) == ("just now", "59 s ago", "2 h ago")
    assert (until(0), until(61), until(200_000)) == ("now", "in 1 min", "in 2 d")


def test_a_day_shows_rare_jobs_beside_a_thousand_that_fire_each_minute() -> None:
    from gcron.policy import Policy
    from gcron.schedule import parse
    from gcron.scheduler.job import Job
    from gcron.supervise.python_call import PythonCall

    def job(name: str, schedule: str) -> Job:
        return Job(name, parse(schedule), PythonCall(print), Policy())

    jobs = [job(f"often{number}", "* * * * *") for number in range(1000)]
    day = coming_day("", [*jobs, job("rare", "30 2 * * *")], frozenset(), 1_767_225_600.0)
    assert ">rare</text>" in day.picture
    assert any("not all jobs that fire often are counted" in note for note in day.notes)
    nothing = coming_day("", [job("rare", "30 2 * * *")], frozenset({"rare"}), 1_767_225_600.0)
    assert (nothing.picture, nothing.notes) == ("", ())
