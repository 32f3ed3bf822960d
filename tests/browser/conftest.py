"""A real browser: Debian's chromium, driven by playwright, and a real `gcron run`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium")
SLOW = PATIENCE * 1000


# Not of the session: playwright keeps a loop of asyncio running, in which other tests could run none of their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def link(gcron_run: Callable[..., Any], runtime: Any) -> Callable[..., str]:
    """Start `gcron run` with the text of a crontab; return the link that its log shows."""

    def start(crontab: str, *options: str) -> str:
        daemon = gcron_run(crontab, "--http", "127.0.0.1:0", *options)
        found: str = daemon.wait_for(r"pages: (http://\S+)$")[0]
        return found

    return start


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in a browser without a past. What it complains about in its console fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def note(message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:  # a refusal is an answer
            complaints.append(message.text)

    def open_one(link: str, **settings: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings})
        context.set_default_timeout(SLOW)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", note)
        page.goto(link)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints
