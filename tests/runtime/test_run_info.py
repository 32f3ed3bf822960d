"""The listing of what a program is doing."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import pytest

import gcron
from gcron.event import Event
from gcron.util import format_run_info, print_run_info


class Proxy:
    """Raises an error when asked for its class, as a proxy does outside of its request."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("outside of a request")


@pytest.fixture
def waiting() -> Iterator[gcron.Greenlet]:
    def sleeps_for_an_hour() -> None:
        gcron.sleep(3600)

    greenlet = gcron.spawn(sleeps_for_an_hour)
    greenlet.name = "sleeper"
    gcron.sleep(0)
    yield greenlet
    greenlet.kill()


def test_a_waiting_greenlet_is_listed_with_the_line_where_it_waits(waiting: gcron.Greenlet) -> None:
    proxy = Proxy()
    lines = format_run_info()
    assert proxy is not None
    place = next(number for number, line in enumerate(lines) if "sleeper" in line)
    assert lines[place].endswith(", waiting")
    assert "sleeps_for_an_hour" in lines[place + 1]
    assert "gcron.sleep(3600)" in lines[place + 2]
    assert not any("in park" in line for line in lines[place + 1 : place + 3]), "what is the same in all is left out"


def test_all_states_are_listed(waiting: gcron.Greenlet) -> None:
    begun, over = Event(), Event()

    def in_a_thread() -> None:
        gcron.spawn(over.wait).name = "elsewhere"
        gcron.spawn(begun.set)
        gcron.sleep(0.01)
        over.wait(5)

    thread = threading.Thread(target=in_a_thread, name="helper")
    thread.start()
    begun.wait(5)
    later = gcron.spawn_later(3600, int)
    later.name = "later"
    ended = gcron.spawn(int)
    ended.join()
    asking = gcron.spawn(format_run_info)
    asking.name = "asking"
    text = "\n".join(asking.get())
    over.set()
    thread.join()
    later.kill()

    assert "Thread MainThread (this one)" in text
    assert "Thread helper" in text
    assert "Main greenlet, waiting" in text
    assert "asking: format_run_info>, running" in text
    assert "elsewhere: Event.wait>, in another thread" in text
    assert "later: int>, not begun" in text
    assert repr(ended) not in text


def test_stacks_can_be_omitted_or_limited(waiting: gcron.Greenlet) -> None:
    assert not any(line.startswith("  ") for line in format_run_info(thread_stacks=False, greenlet_stacks=False))
    without_threads = format_run_info(thread_stacks=False, limit=1)
    assert any("gcron.sleep(3600)" in line for line in without_threads), "the innermost is kept"


def test_it_is_printed(waiting: gcron.Greenlet, capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    print_run_info(file=file)
    assert "sleeper" in file.getvalue()
    print_run_info()
    assert "sleeper" in capsys.readouterr().err
