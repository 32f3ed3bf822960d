"""The pages as a person uses them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

pytestmark = pytest.mark.realtime

Link = Callable[..., str]
Open = Callable[..., Any]

CRONTAB = """\
# gcron: name=greets description="says hello"
@manual echo hello
# gcron-notify: hook url=http://127.0.0.1:1/nobody-listens
# gcron: name=broken notify=hook on-failure="exit 3"
@reboot echo no; exit 3
# gcron: name=counts
@manual echo "line 1"; echo "line 2"; until test -e GATE; do sleep 0.05; done; echo "line 3"
# gcron: name=evil
@manual printf '\\033[32mgreen\\033[0m <script>document.title="evil"</script>\\n\\033[2J'
# gcron: name=long
@manual sleep 1000
# gcron: name=nightly
30 2 * * * true
# gcron: name=web
@service sleep 1000
"""
PAGES = [
    "/",
    "/runs",
    "/timeline",
    "/timeline?day=past",
    "/services",
    "/events",
    "/messages",
    "/problems",
    "/jobs/broken",
]


def at(link: str, path: str) -> str:
    return link.partition("/?")[0] + path


def row(page: Any, name: str) -> Any:
    return page.locator("#jobs tbody tr", has=page.get_by_role("link", name=name, exact=True))


def wait_for_text(place: Any, text: str) -> None:
    place.filter(has_text=text).first.wait_for()


def test_the_link_signs_in_and_is_gone_from_the_address(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    assert "token" not in page.url
    wait_for_text(page.locator("h1"), "broken does not succeed")
    page.reload()
    assert page.locator("#jobs").is_visible()
    page.get_by_role("button", name="Sign out").click()
    wait_for_text(page.locator("h1"), "Sign in")


def test_a_stranger_signs_in_by_the_form(link: Link, open_page: Open) -> None:
    shown = link(CRONTAB, "--http-anonymous", "none")
    page = open_page("about:blank")
    page.goto(at(shown, "/runs"))
    page.get_by_label("Token").fill("wrong-token-of-somebody")
    page.get_by_role("button", name="Sign in").click()
    wait_for_text(page.get_by_role("alert"), "not the token")
    page.get_by_label("Token").fill(shown.partition("=")[2])
    page.get_by_role("button", name="Sign in").click()
    wait_for_text(page.locator("h1"), "Runs")


def test_a_job_is_run_by_its_button_and_its_row_changes_without_a_reload(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    wait_for_text(page.locator("#link"), "live")
    page.evaluate("window.same = true")
    wait_for_text(row(page, "greets"), "never")
    row(page, "greets").get_by_role("button", name="Run").click()
    wait_for_text(page.locator("#said"), "greets has started")
    wait_for_text(row(page, "greets"), "ago")
    assert row(page, "greets").locator("svg.s path.ok").count() == 1
    assert page.evaluate("window.same")


def test_what_another_client_does_is_seen(link: Link, open_page: Open) -> None:
    shown = link(CRONTAB)
    page = open_page(shown)
    wait_for_text(page.locator("#link"), "live")
    token = {"Authorization": f"Bearer {shown.partition('=')[2]}"}
    page.request.post(at(shown, "/api/v1/jobs/nightly/pause"), headers=token)
    wait_for_text(row(page, "nightly"), "paused")
    row(page, "nightly").get_by_role("button", name="Resume").click()
    row(page, "nightly").get_by_role("button", name="Pause").wait_for()


def test_output_appears_while_the_job_runs(link: Link, open_page: Open, gate: Any) -> None:
    page = open_page(link(CRONTAB.replace("GATE", str(gate.path))))
    row(page, "counts").get_by_role("button", name="Run").click()
    row(page, "counts").get_by_role("link", name="counts", exact=True).click()
    page.get_by_role("link", name=re.compile("^run ")).click()
    wait_for_text(page.locator("#output"), "line 2")
    assert "line 3" not in page.locator("#output").inner_text()
    gate.open()
    wait_for_text(page.locator("#output"), "line 3")
    wait_for_text(page.locator(".title"), "ok")


def test_what_a_job_prints_is_text(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    row(page, "evil").get_by_role("button", name="Run").click()
    wait_for_text(row(page, "evil"), "ago")
    page.goto(page.url.rstrip("/") + "/jobs/evil")
    page.locator("table.list a").first.click()
    wait_for_text(page.locator("#output"), '<script>document.title="evil"</script>')
    assert page.title() != "evil"
    assert page.locator("#output .a-32").inner_text() == "green"
    assert "\\x1b[2J" in page.locator("#output").inner_text()


def test_stopping_a_run_asks_first_and_says_what_happened(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    row(page, "long").get_by_role("button", name="Run").click()
    row(page, "long").get_by_role("link", name="Stop").click()
    wait_for_text(page.locator("h1"), "End all runs of long?")
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="End").click()
    wait_for_text(page.locator("#said"), "The runs of long were told to end")
    page.goto(page.url.partition("/confirm")[0].rstrip("/?") + "/jobs/long")
    wait_for_text(page.locator("main"), "stopped by a browser at 127.0.0.1: a test")


def test_the_filter_hides_rows_while_one_types(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    page.keyboard.press("/")
    page.keyboard.type("night")
    row(page, "greets").wait_for(state="hidden")
    assert row(page, "nightly").is_visible()
    page.wait_for_url("**/?q=night")
    page.reload()
    assert page.locator("#jobs tbody tr").count() == 1


def test_keys_move_through_the_jobs_and_open_one(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    wait_for_text(page.locator("h1"), "broken does not succeed")
    page.reload()  # now it stands first
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("tr.sel").count() == 1
    page.keyboard.press("?")
    wait_for_text(page.locator("#said"), "j k move")
    page.keyboard.press("Enter")
    wait_for_text(page.locator("h1"), "broken")


def test_a_wrong_crontab_is_shown_and_goes_when_it_is_right(link: Link, open_page: Open, tmp_path: Path) -> None:
    shown = link(CRONTAB)
    page = open_page(shown)
    page.goto(at(shown, "/problems"))
    wait_for_text(page.locator("h2"), "The crontabs are right")
    wait_for_text(page.locator("#link"), "live")
    (tmp_path / "crontab0").write_text(CRONTAB + "61 * * * * x\n")
    page.get_by_role("button", name="Read the crontabs again").click()
    wait_for_text(page.locator("pre"), "61")
    page.goto(at(shown, "/"))
    wait_for_text(page.locator("#head"), "The crontab on disk is wrong")
    (tmp_path / "crontab0").write_text(CRONTAB)
    page.locator("#head", has_text="is wrong").wait_for(state="hidden")


def test_a_message_that_fails_is_seen_on_the_page_and_in_the_navigation(link: Link, open_page: Open) -> None:
    shown = link(CRONTAB)
    page = open_page(shown, java_script_enabled=False)

    def has_both() -> bool:
        page.goto(at(shown, "/messages"))
        return all(page.get_by_text(text).count() for text in ("no connection: Connection refused", "given up"))

    until(has_both, "both failures")
    wait_for_text(page.locator("nav .dot"), "2")
    wait_for_text(page.locator("table.list").first, "hook")
    page.get_by_role("navigation", name="States").get_by_role("link", name="given up").click()
    assert page.locator("table.list").last.locator("tbody tr").count() == 1


def test_without_javascript_everything_is_there(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB), java_script_enabled=False)
    row(page, "greets").get_by_role("button", name="Run").click()
    wait_for_text(page.locator("#said"), "greets has started")
    page.get_by_placeholder("Filter").fill("night")
    page.get_by_role("button", name="Show").click()
    assert page.locator("#jobs tbody tr").count() == 1
    row(page, "nightly").get_by_role("button", name="Pause").click()
    wait_for_text(page.locator("#said"), "nightly is paused")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_the_screen(link: Link, open_page: Open, width: int) -> None:
    shown = link(CRONTAB)
    page = open_page(shown, viewport={"width": width, "height": 800})
    for path in PAGES:
        page.goto(at(shown, path))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_row_keeps_its_place_while_it_changes(link: Link, open_page: Open) -> None:
    page = open_page(link(CRONTAB))
    wait_for_text(page.locator("#link"), "live")
    before = [box.bounding_box() for box in page.locator("#jobs tbody tr").all()]
    row(page, "greets").get_by_role("button", name="Run").click()
    page.locator("tr.fresh").first.wait_for()
    assert [box.bounding_box() for box in page.locator("#jobs tbody tr").all()] == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_any_page(link: Link, open_page: Open, scheme: str) -> None:
    shown = link(CRONTAB)
    page = open_page(shown, color_scheme=scheme)
    row(page, "counts").get_by_role("button", name="Run").click()
    wait_for_text(page.locator("#said"), "started")
    page.goto(at(shown, "/runs"))
    run = page.locator("table.list td a[href*='/runs/']").first.get_attribute("href")
    for path in [*PAGES, run, "/jobs/nightly?at=03:30", "/confirm?do=stop-job:long", "/jobs/web"]:
        page.goto(at(shown, path))
        assert_axe_finds_nothing(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_narrow_screen_the_time_stands_above_the_output(link: Link, open_page: Open, scheme: str) -> None:
    """It stood beside the output, and took half of the screen."""
    shown = link("# gcron: name=both\n@reboot echo fine; echo wrong >&2; exit 3\n")
    page = open_page(shown, color_scheme=scheme, viewport={"width": 360, "height": 800})
    wait_for_text(page.locator("h1"), "both does not succeed")
    page.goto(at(shown, "/runs"))
    page.locator("table.list td a[href*='/runs/']").first.click()
    wait_for_text(page.locator("#output .e"), "wrong")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert max(page.evaluate(DISTANCES)) < 32
    said = page.evaluate("getComputedStyle(document.querySelector('#output .e'), '::before').content")
    assert said.endswith(' err"')
    assert_axe_finds_nothing(page)
    page.get_by_role("button", name="Times").click()
    assert "err" in page.evaluate("getComputedStyle(document.querySelector('#output .e'), '::after').content")
    assert_axe_finds_nothing(page)


# Pixels from the left of the output to the text of each piece of it, which is the first child of its element.
DISTANCES = """() => {
  const output = document.querySelector("#output"), left = output.getBoundingClientRect().left;
  return [...output.querySelectorAll(".l")].map((piece) => {
    const range = document.createRange();
    range.selectNodeContents(piece);
    return range.getClientRects()[0].left - left;
  });
}"""


def assert_axe_finds_nothing(page: Any) -> None:
    import axe_playwright_python

    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run().then((found) => found.violations)")
    told = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found]
    assert not told, f"{page.url}: {json.dumps(told, indent=1)}"
