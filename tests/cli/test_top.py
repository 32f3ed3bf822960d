"""`gcron top --plain`: a live board on a terminal, which every way out leaves as it was."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

import psutil
import pytest

from gcron.cli.standing import worst_first
from gcron.cli.status import service_row
from tests.waiting import PATIENCE, takes, until

LONG = "a-job-with-a-name-that-is-longer-than-most-columns-want-to-be"
CRONTAB = f"""\
# gcron: name=backup
30 2 * * * true
# gcron: name=fails
@manual echo bad; exit 3
# gcron: name=web
@service exec sleep 600
# gcron: name={LONG}
17 3 1-31/2 1,2,3,4,5,6 mon-fri true
"""
NOW = "2026-11-30T12:00:00Z"
ESCAPES = re.compile(r"\x1b\[[?\d;]*[a-zA-Z]")
ENTERS, LEAVES, SHOWS_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
WITHOUT_TEXTUAL = "import sys; sys.modules['textual'] = None; from gcron.cli.main import main; sys.exit(main())"


# It keeps the terminal after the program: the kernel resets the settings of one that nobody has.
HOLDER = 'trap : INT QUIT; "$@"; echo "STATUS $?"; exec sleep 600'


class Terminal:
    """A program on a pseudo-terminal of some size, and what it has written."""

    def __init__(self, argv: list[str], columns: int, lines: int, **variables: str) -> None:
        self.fd, side = pty.openpty()
        ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(self.fd)
        unwanted = ("NO_COLOR", "COLUMNS", "LINES")
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.process = subprocess.Popen(
            ["sh", "-c", HOLDER, "sh", *argv],
            stdin=side,
            stdout=side,
            stderr=side,
            env={**environment, "TERM": "xterm-256color", **variables},
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(side)
        self.text = ""

    def read(self) -> None:
        """Take in what has been written meanwhile."""
        while select.select([self.fd], [], [], 0.02)[0]:
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")

    @property
    def picture(self) -> str:
        """The last picture that was drawn in full, without colours."""
        self.read()
        pictures = self.text.split("\x1b[H")
        return ESCAPES.sub("", pictures[-1]).replace("\r", "")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a picture with this."""
        return until(lambda: re.search(pattern, self.picture, re.MULTILINE), f"{pattern!r} in\n{self.picture}")

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the program."""
        (program,) = psutil.Process(self.process.pid).children()
        program.send_signal(signum)

    def end(self) -> int:
        """Wait for the end of the program; return its status."""
        found = until(lambda: self.read() or re.search(r"STATUS (\d+)", self.text), "its end")
        return int(found[1])

    def is_as_before(self) -> bool:
        """Whether the terminal is as it was: its settings, its screen, its cursor."""
        screen = self.text.rfind(LEAVES) > self.text.rfind(ENTERS)
        cursor = self.text.rfind(SHOWS_CURSOR) > self.text.rfind("\x1b[?25l")
        return termios.tcgetattr(self.fd) == self.before and screen and cursor

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def daemon(gcron_run: Callable[..., Any], runtime: Path) -> Any:
    started = gcron_run(CRONTAB, "--instance", "the-one")
    until(lambda: list(runtime.rglob("instance.json")))
    return started


@pytest.fixture
def on_terminal() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(argv: list[str], columns: int = 80, lines: int = 24, **variables: str) -> Terminal:
        made.append(Terminal(argv, columns, lines, **variables))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


@pytest.fixture
def top(daemon: Any, on_terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Start `gcron top --plain`, and wait for its first picture."""

    def start(columns: int = 80, lines: int = 24, **variables: str) -> Terminal:
        argv = [sys.executable, "-m", "gcron", "top", "--plain", "--instance", "the-one"]
        terminal = on_terminal(argv, columns, lines, **variables)
        terminal.wait_for("q ends")
        return terminal

    return start


# -- what is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_board_fits_the_terminal(top: Callable[..., Terminal], columns: int) -> None:
    terminal = top(columns)
    terminal.wait_for("web +ready")
    lines = terminal.picture.split("\n")
    assert len(lines) == 24
    assert max(map(len, lines)) <= columns
    assert (LONG in terminal.picture) == (columns == 200)
    assert any(re.match(r"a-job-\S*…\S*to-be", line) for line in lines) == (columns < 200)


def test_a_terminal_of_few_lines_shows_the_worst_and_how_many_more(top: Callable[..., Terminal], gcron: Any) -> None:
    gcron("trigger", "--instance", "the-one", "fails", "--wait")
    terminal = top(lines=6)
    terminal.wait_for("fails +@manual +failed")
    assert "and 2 jobs more" in terminal.picture
    assert "backup" not in terminal.picture
    assert len(terminal.picture.split("\n")) == 6


def test_it_follows_events_and_the_size_of_the_terminal(top: Callable[..., Terminal], gcron: Any) -> None:
    terminal = top(lines=30)
    terminal.wait_for("0 failing")
    gcron("trigger", "--instance", "the-one", "fails", "--wait")
    terminal.wait_for("1 failing")
    assert terminal.picture.index("fails") < terminal.picture.index("backup"), "the worst is first"
    ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
    until(lambda: len(lines := terminal.picture.split("\n")) == 12 and max(map(len, lines)) <= 60)


def test_without_colour_and_in_a_c_locale(top: Callable[..., Terminal]) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    terminal = top(60, NO_COLOR="1", **plain)
    terminal.wait_for("web +ready")
    assert terminal.text.isascii()
    assert "a-job-" in terminal.picture
    assert not re.search(r"\x1b\[[\d;]+m", terminal.text)


def test_colours_are_those_of_status(top: Callable[..., Terminal]) -> None:
    terminal = top()
    terminal.wait_for("web +ready")
    assert re.search(r"\x1b\[32mready", terminal.text)


def test_gcron_that_goes_away_and_comes_back_is_followed(
    top: Callable[..., Terminal], daemon: Any, gcron_run: Callable[..., Any]
) -> None:
    terminal = top()
    assert daemon.stop() == 0
    terminal.wait_for("out of date, and waiting for gcron")
    assert "backup" in terminal.picture, "what was known stays"
    gcron_run(CRONTAB + "# gcron: name=new\n@manual true\n", "--instance", "the-one")
    terminal.wait_for("^new ")
    assert "out of date" not in terminal.picture


def test_the_last_line_names_the_extra_only_where_it_is_missing(daemon: Any, on_terminal: Any) -> None:
    argv = [sys.executable, "-c", WITHOUT_TEXTUAL, "top", "--instance", "the-one"]
    terminal = on_terminal(argv, columns=100)
    terminal.wait_for(r"q ends +more with keys .*: pip install 'gcron\[tui\]'")
    terminal.press(b"q")
    assert terminal.end() == 0


def test_without_a_terminal_it_prints_one_line(daemon: Any, gcron: Any, terminal: Callable[..., bytes]) -> None:
    done = gcron("top", "--instance", "the-one")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "gcron: top needs a terminal; `gcron status` prints the same table once\n"
    assert b"needs a terminal" in terminal("top", "--instance", "the-one", TERM="dumb")


def test_without_a_gcron_the_screen_is_left_alone(on_terminal: Callable[..., Terminal]) -> None:
    terminal = on_terminal([sys.executable, "-m", "gcron", "top", "--instance", "none"])
    assert terminal.end() == 3
    assert "no gcron runs here with the name or the crontab 'none'" in terminal.text
    assert "\x1b" not in terminal.text


# -- the terminal afterwards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keys", "status"), [(b"q", 0), (b"Q", 0), (b"\x03", 130), (b"\x1c", 131)])
def test_a_key_ends_it_and_the_terminal_is_as_before(top: Callable[..., Terminal], keys: bytes, status: int) -> None:
    terminal = top()
    assert not terminal.is_as_before()
    terminal.press(keys)
    assert terminal.end() == status
    assert terminal.is_as_before()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_as_before(top: Callable[..., Terminal], signum: signal.Signals) -> None:
    terminal = top()
    terminal.send(signum)
    assert terminal.end() == 128 + signum
    assert terminal.is_as_before()


@pytest.mark.parametrize(("signum", "status"), [(None, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_screen_of_textual_leaves_the_terminal_as_before(
    daemon: Any, on_terminal: Callable[..., Terminal], signum: signal.Signals | None, status: int
) -> None:
    """Textual itself hears no TERM: the terminal stayed without echo, on its second screen."""
    argv = [sys.executable, "-m", "gcron", "top", "--instance", "the-one"]
    terminal = on_terminal(argv, PYTHONIOENCODING="utf-8")
    until(lambda: terminal.read() or "Trigger" in terminal.text)
    assert not terminal.is_as_before()
    if signum is None:
        terminal.press(b"q")
    else:
        terminal.send(signum)
    assert terminal.end() == status
    assert terminal.is_as_before()


@pytest.mark.parametrize("job", ["yes output", "yes output | tr -d '\\n'"])
@pytest.mark.parametrize(("end", "status"), [(b"q", 0), (b"\x03", 130), (signal.SIGTERM, 143)])
def test_the_output_of_a_job_that_prints_all_the_time_is_left_at_once(
    gcron_run: Callable[..., Any],
    runtime: Path,
    on_terminal: Callable[..., Terminal],
    job: str,
    end: bytes | signal.Signals,
    status: int,
) -> None:
    """Each piece of output was a message, faster than any was handled: no key came, and TERM was lost.

    The memory grew by some MB each second.
    """
    gcron_run(f"# gcron: name=chatty\n@reboot {job}\n", "--instance", "the-one", stdout=subprocess.DEVNULL)
    until(lambda: list(runtime.rglob("instance.json")))
    argv = [sys.executable, "-m", "gcron", "top", "--instance", "the-one"]
    terminal = on_terminal(argv, PYTHONIOENCODING="utf-8")
    for shown in ("@reboot", r"\b[0-9a-f]{16}\b"):
        until(lambda shown=shown: terminal.read() or re.search(shown, terminal.text), shown)  # type: ignore[misc]
        terminal.press(b"\r")
    until(lambda: terminal.read() or terminal.text.count("output") > 200, "much output")
    if isinstance(end, bytes):
        terminal.press(end)
    else:
        terminal.send(end)
    with takes(at_most=2):
        assert terminal.end() == status
    assert terminal.is_as_before()


def test_an_error_is_printed_on_a_terminal_as_before(daemon: Any, on_terminal: Callable[..., Terminal]) -> None:
    program = """if True:
        import sys
        from gcron.cli import board
        from gcron.cli.main import main
        draw, pictures = board.draw, []
        def fail(*arguments):
            pictures.append(1)
            return draw(*arguments) if len(pictures) < 2 else 1 / 0
        board.draw = fail
        main(["top", "--plain", "--instance", "the-one"])
    """
    terminal = on_terminal([sys.executable, "-c", program])
    assert terminal.end() == 1
    assert terminal.is_as_before()
    assert "ZeroDivisionError" in terminal.text[terminal.text.rfind(LEAVES) :]


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(
    daemon: Any, on_terminal: Callable[..., Terminal]
) -> None:
    shell = on_terminal(["sh", "-i"], PS1="READY> ")
    until(lambda: "READY> " in shell.picture)
    shell.press(f"{sys.executable} -m gcron top --plain --instance the-one; echo ended-$?\n".encode())
    shell.wait_for("q ends")
    shell.press(b"\x1a")
    until(lambda: "Stopped" in shell.picture)
    assert shell.is_as_before()
    seen = len(shell.text)
    shell.press(b"fg\n")
    until(lambda: "q ends" in shell.picture and ENTERS in shell.text[seen:])
    shell.press(b"q")
    until(lambda: shell.read() or LEAVES in shell.text[seen:])
    shell.press(b"exit\n")
    shell.end()
    assert shell.is_as_before()


# -- its parts ----------------------------------------------------------------------------------------------------


def job(name: str, *recent: str, **more: Any) -> dict[str, Any]:
    return {"job": name, "recent": list(recent), "overdue": False, "paused": False, "enabled": True} | more


def service(state: str, since: str) -> dict[str, Any]:
    return {"state": state, "since": f"2026-11-30T{since}Z", "restarts": 3, "reason": ""}


def test_a_service_that_keeps_crashing_is_not_shown_as_ready() -> None:
    """A service that lived for two seconds each time was `ready` whenever somebody looked."""
    crashing = job("crashes", "failed", service=service("ready", "11:59:30"))
    assert service_row(crashing, NOW)[1] == "restarted"
    crashing["service"]["since"] = "2026-11-30T11:58:59Z"
    assert service_row(crashing, NOW)[1] == "ready"
    first = job("first", service=service("ready", "11:59:30"))
    assert service_row(first, NOW)[1] == "ready"


def test_the_worst_comes_first_and_equals_keep_their_order() -> None:
    jobs = [
        job("paused", "failed", "succeeded", paused=True),
        job("off", enabled=False),
        job("web", "failed", service=service("ready", "11:58")),
        job("well", "succeeded"),
        job("new"),
        job("skipped", "succeeded", "skipped"),
        job("late", "succeeded", overdue=True),
        job("broken", service=service("backing-off", "11:59:59")),
        job("crashes", "failed", "failed", service=service("ready", "11:59:30")),
        job("asked", "failed", "stopped", service=service("ready", "11:59:30")),
        job("failing", "succeeded", "failed", "skipped", paused=True),
    ]
    names = [found["job"] for found in worst_first(jobs, NOW)]
    assert names == ["late", "broken", "crashes", "failing", "skipped", "web", "well", "new", "asked", "paused", "off"]


def test_no_other_command_loads_textual_or_rich_live() -> None:
    program = """if True:
        import importlib, pkgutil, sys
        import gcron.cli
        for module in pkgutil.iter_modules(gcron.cli.__path__, "gcron.cli."):
            if module.name not in ("gcron.cli.board",):
                importlib.import_module(module.name)
        print([name for name in sys.modules if name.partition(".")[0] == "textual" or name == "rich.live"])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[]\n", "")
