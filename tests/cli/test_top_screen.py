"""`gcron top` with Textual: keys, and what they do to a real gcron."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import DataTable, Footer, Input, Log, Static

from gcron.cli.following import Follower
from gcron.cli.tui.app import TopApp
from gcron.cli.tui.runs import RunsScreen
from gcron.control.client import Client
from tests.waiting import PATIENCE, takes, until

CRONTAB = """\
# gcron: name=backup
30 2 * * * true
# gcron: name=fails
@manual printf 'bad\\033[31m\\n'; exit 3
# gcron: name=long
@manual echo begun; until test -e {gate}; do sleep 0.02; done; echo over
# gcron: name=web
@service exec sleep 600
"""
Screen = Pilot[Any]


@pytest.fixture
def client(gcron_run: Callable[..., Any], runtime: Path, gate: Any) -> Any:
    gcron_run(CRONTAB.format(gate=gate.path), "--state", "memory")
    until(lambda: list(runtime.rglob("instance.json")))
    (path,) = runtime.rglob("control.sock")
    with Client(str(path)) as client:
        yield client


@pytest.fixture
def use(client: Client) -> Callable[..., None]:
    """Run a conversation with the application on a screen of some size."""

    def use(talk: Callable[[Screen], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
        async def run() -> None:
            app = TopApp(client.another(), Follower(client.another()))
            async with app.run_test(size=size) as pilot:
                await shows(pilot, "backup")
                await talk(pilot)

        asyncio.run(run())

    return use


def text_of(pilot: Screen) -> str:
    """What is on the screen, as text."""
    screen = pilot.app.screen
    parts = [str(static.render()) for static in screen.query(Static)]
    for table in screen.query(DataTable):
        parts += ["  ".join(_plain(cell) for cell in table.get_row_at(number)) for number in range(table.row_count)]
    for log in screen.query(Log):
        parts += list(log.lines)
    return "\n".join(parts)


def _plain(cell: Any) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


async def shows(pilot: Screen, *parts: str) -> str:
    """Wait until all of this is on the screen."""
    deadline = time.monotonic() + PATIENCE
    while not all(part in (text := text_of(pilot)) for part in parts):
        assert time.monotonic() < deadline, f"no {parts} in\n{text}"
        await pilot.pause(0.02)
    return text


async def choose(pilot: Screen, name: str) -> None:
    """Put the cursor on a job."""
    table = pilot.app.screen.query_one(DataTable)
    for number in range(table.row_count):
        if _plain(table.get_row_at(number)[0]) == name:
            table.move_cursor(row=number)
    await pilot.pause()


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 50)])
def test_all_jobs_and_services_fit_the_screen(use: Callable[..., None], size: tuple[int, int]) -> None:
    async def talk(pilot: Screen) -> None:
        await shows(pilot, "fails", "web", "ready")
        table = pilot.app.screen.query_one(DataTable)
        assert table.virtual_size.width <= size[0]
        assert pilot.app.screen.query_one(Footer).display

    use(talk, size)


def test_trigger_says_what_happened_and_the_worst_comes_first(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "fails")
        await pilot.press("t")
        await shows(pilot, "fails: started, run ", "1 failing")
        table = pilot.app.screen.query_one(DataTable)
        assert _plain(table.get_row_at(0)[0]) == "fails"
        assert table.cursor_row == 0, "the cursor stays on its job"

    use(talk)


def test_enter_shows_the_runs_and_the_output_of_one_as_it_comes(use: Callable[..., None], gate: Any) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "long")
        await pilot.press("t")
        await shows(pilot, "long: started")
        await pilot.press("enter")
        await shows(pilot, "@manual", "running")
        await pilot.press("enter")
        await shows(pilot, "long  run ", "begun", "running for")
        gate.open()
        await shows(pilot, "over", "ok, took")
        await pilot.press("escape")
        await shows(pilot, "ok")
        await pilot.press("escape")
        await shows(pilot, "backup")

    use(talk)


def test_output_has_no_effect_on_the_terminal(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "fails")
        await pilot.press("t", "enter")
        await shows(pilot, "@manual, failed")
        await pilot.press("enter")
        await shows(pilot, "bad\\x1b[31m", "failed, exit status 3")

    use(talk)


def test_pause_and_resume(use: Callable[..., None], client: Client) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "backup")
        await pilot.press("p")
        await shows(pilot, "backup: paused until gcron resume backup")
        assert client.get("jobs", "backup")["paused"]
        await pilot.press("p")
        await shows(pilot, "backup: resumed, due next at ")
        assert not client.get("jobs", "backup")["paused"]
        await choose(pilot, "web")
        await pilot.press("p")
        await shows(pilot, "is a service: it has no fires to pause")

    use(talk)


@pytest.mark.parametrize("answer", ["n", "escape", "enter"])
def test_stop_asks_first(use: Callable[..., None], client: Client, answer: str) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "long")
        await pilot.press("s")
        await shows(pilot, "long: no run is under way")
        await pilot.press("t")
        await shows(pilot, "1 running")
        await pilot.press("s")
        await shows(pilot, "Stop long?", "1 run under way")
        await pilot.press(answer)
        await shows(pilot, "backup")
        assert client.get("jobs", "long")["running"]
        await pilot.press("s")
        await shows(pilot, "Stop long?")
        await pilot.press("y")
        await shows(pilot, "being stopped", "0 running")
        assert not client.get("jobs", "long")["running"]

    use(talk)


def test_one_run_is_stopped_where_its_output_is_shown(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "long")
        await pilot.press("t", "enter")
        await shows(pilot, "running")
        await pilot.press("enter")
        await shows(pilot, "begun")
        await pilot.press("s", "y")
        await shows(pilot, "stopped by")
        await pilot.press("s")
        await shows(pilot, "this run has ended")

    use(talk)


def test_a_service_is_stopped_and_started_again(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        await choose(pilot, "web")
        await pilot.press("s")
        await shows(pilot, "Stop the service web?")
        await pilot.press("y")
        await shows(pilot, "web: stopp", "web  @service  stopped")
        await choose(pilot, "web")
        await pilot.press("t")
        await shows(pilot, "web  @service  ready")

    use(talk)


def test_a_filter_leaves_jobs_with_a_part_of_a_name(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        table = pilot.app.screen.query_one(DataTable)
        await pilot.press("slash", "b", "a", "q")
        assert table.row_count == 0
        await pilot.press("backspace", "c", "enter")
        assert [_plain(table.get_row_at(number)[0]) for number in range(table.row_count)] == ["backup"]
        assert "1 job with 'bac' in the name" in text_of(pilot)
        await pilot.press("p")
        await shows(pilot, "backup: paused")
        await pilot.press("escape")
        assert table.row_count == 4
        assert pilot.app.screen.query_one(Input).value == ""

    use(talk)


def test_keys_that_come_together_with_the_slash_go_to_the_filter(use: Callable[..., None], client: Client) -> None:
    """`/t` pasted, or typed faster than the screen is drawn: the filter stayed empty, and t triggered the job."""

    async def talk(pilot: Screen) -> None:
        app = pilot.app
        for key, character in (("slash", "/"), ("t", "t"), ("slash", "/"), ("x", "x")):
            app.post_message(Key(key, character))
        await shows(pilot, "0 jobs with 't/x' in the name")
        assert not any(job["running"] or job["recent"] for job in client.pages("jobs", "jobs") if "service" not in job)

    use(talk)


def test_help_shows_the_keys(use: Callable[..., None]) -> None:
    async def talk(pilot: Screen) -> None:
        await pilot.press("question_mark")
        text = await shows(pilot, "trigger: run the job now")
        assert "LAST TEN" in text
        await pilot.press("escape")
        await shows(pilot, "backup")

    use(talk)


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("ctrl+c", 130)])
def test_a_key_ends_it(use: Callable[..., None], key: str, status: int) -> None:
    async def talk(pilot: Screen) -> None:
        await pilot.press(key)
        assert pilot.app.return_value == status

    use(talk)


def test_a_gcron_that_hangs_is_asked_one_question_at_a_time(gcron_run: Callable[..., Any], runtime: Path) -> None:
    """While gcron hung, the runs of a job were asked for each second: one more thread and connection each time."""
    daemon = gcron_run("# gcron: name=long\n@reboot sleep 600\n", "--state", "memory")
    until(lambda: list(runtime.rglob("instance.json")))
    (path,) = runtime.rglob("control.sock")

    async def run() -> None:
        client = Client(str(path))
        app = TopApp(client, Follower(client))
        async with app.run_test(size=(80, 24)) as pilot:
            await shows(pilot, "long")
            await pilot.press("enter")
            await shows(pilot, "running")
            daemon.send(signal.SIGSTOP)
            before = threading.active_count()
            for _ in range(10):
                assert isinstance(app.screen, RunsScreen)
                app.screen.show_view()
            assert threading.active_count() <= before + 1
            daemon.send(signal.SIGCONT)
            await pilot.press("t")
            await shows(pilot, "long: ")

    asyncio.run(run())


def test_a_view_is_right_again_soon_after_gcron_has_hung(
    gcron_run: Callable[..., Any], runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a question that took 30 s in vain, the next one came two minutes later. The board stayed out of date."""
    monkeypatch.setattr("gcron.control.client._TIMEOUT", 4.0)
    daemon = gcron_run("@manual true\n", "--state", "memory")
    until(lambda: list(runtime.rglob("instance.json")))
    (path,) = runtime.rglob("control.sock")
    follower = Follower(Client(str(path)))
    follower.start(lambda: None)
    daemon.send(signal.SIGSTOP)
    until(lambda: "does not answer" in follower.view.problem)
    daemon.send(signal.SIGCONT)
    with takes(at_most=2):
        until(lambda: not follower.view.problem)
    follower.stop()


def test_when_gcron_goes_away_the_screen_says_so_and_keeps_its_jobs(
    gcron_run: Callable[..., Any], runtime: Path
) -> None:
    daemon = gcron_run("# gcron: name=backup\n@manual true\n", "--state", "memory", "--instance", "gone")
    until(lambda: list(runtime.rglob("instance.json")))
    (path,) = runtime.rglob("control.sock")

    async def run() -> None:
        client = Client(str(path))
        app = TopApp(client, Follower(client))
        async with app.run_test(size=(80, 24)) as pilot:
            await shows(pilot, "backup")
            assert daemon.stop() == 0
            await shows(pilot, "out of date, and waiting for gcron", "backup")
            await pilot.press("t")
            await shows(pilot, "no gcron listens there")
            gcron_run("# gcron: name=new\n@manual true\n", "--state", "memory", "--instance", "gone")
            text = await shows(pilot, "new  @manual")
            assert "out of date" not in text

    asyncio.run(run())
