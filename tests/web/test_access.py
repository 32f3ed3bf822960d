"""Who may: tokens, sessions, forms, hosts, origins. Everything that should be refused, is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.web.access import LIFETIME, WINDOW, WRONG_TOKENS
from gcron.web.forwarded import host_name, read_proxies
from tests.web.conftest import BROWSER, HOST, OWN, TOKEN, MakeSite, Site

ALWAYS = {
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Cache-Control",
}


# -- signing in ---------------------------------------------------------------------------------------------------


def test_the_link_makes_a_session_and_leads_to_an_address_without_the_token(stranger: Site) -> None:
    answer = stranger.get(f"/jobs/x?token={TOKEN}&sort=name")
    assert (answer.status, answer.place) == (303, "/jobs/x?sort=name")
    (cookie,) = [value for name, value in answer.all_headers if name == "Set-Cookie"]
    assert re.fullmatch(rf"gcron-[0-9a-f]{{8}}=\S+; Path=/; Max-Age={LIFETIME}; HttpOnly; SameSite=Strict", cookie)
    stranger.cookie = answer.cookie()
    assert stranger.get("/").status == 200


def test_the_form_signs_in_and_leads_to_the_page_that_was_asked_for(stranger: Site) -> None:
    page = stranger.get("/timeline?day=past")
    assert page.status == 401
    assert "value='/timeline?day=past'" in page.text
    answer = stranger.post("/login", {"token": TOKEN, "next": "/timeline?day=past"})
    assert (answer.status, answer.place) == (303, "/timeline?day=past")


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/\\evil.example", "", "evil"])
def test_signing_in_leads_to_no_other_site(stranger: Site, place: str) -> None:
    answer = stranger.post("/login", {"token": TOKEN, "next": place})
    assert (answer.status, answer.place) == (303, "/")


def test_a_token_in_a_path_of_two_slashes_leads_to_no_other_site(stranger: Site) -> None:
    assert stranger.get(f"//evil.example/?token={TOKEN}").status == 404
    assert stranger.get(f"/\\evil.example/?token={TOKEN}").place == "/"


def test_after_12_hours_the_session_is_over(site: Site) -> None:
    assert site.get("/runs").status == 200
    sleep(LIFETIME - 1)
    assert site.get("/runs").status == 200
    sleep(1)
    assert site.get("/runs").status == 401


def test_a_session_that_was_changed_is_none(site: Site) -> None:
    name, _, value = site.cookie.partition("=")
    expires, number, signature = value.split(".")
    for changed in (
        f"{int(expires) + 1}.{number}.{signature}",
        f"{expires}.{number}.{signature[:-1]}",
        f"{expires}.{number}.",
        f"{expires}..{signature}",
        "..",
        "",
        "x" * 9000,
        "\u00fc.\u00fc.\u00fc",
    ):
        site.cookie = f"{name}={changed}"
        assert site.get("/runs").status == 401


def test_cookies_of_other_programs_do_not_matter(site: Site) -> None:
    site.cookie = f'broken; a="b; =; {site.cookie}; z={{"x": 1}}'
    assert site.get("/runs").status == 200


def test_a_new_token_ends_the_sessions_of_the_old_one(site: Site, make_site: MakeSite) -> None:
    other = make_site()
    other.access.__init__("another-token-of-tests", other.gcron.clock.now, other.gcron.clock.monotonic)  # type: ignore[misc]
    other.cookie = site.cookie
    assert other.get("/runs").status == 401


def test_signing_out_removes_the_cookie(site: Site) -> None:
    answer = site.post("/logout", {"csrf": site.csrf})
    assert answer.status == 303
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


def test_a_browser_that_comes_from_another_site_asks_again_from_ours(site: Site, stranger: Site) -> None:
    """It sends no cookie with a link of another site (SameSite=Strict): a page that loads itself lets it."""
    answer = stranger.get("/", HTTP_SEC_FETCH_SITE="cross-site")
    assert answer.status == 200
    assert "http-equiv=refresh" in answer.text
    assert stranger.get("/", HTTP_SEC_FETCH_SITE="same-origin").status == 401
    assert site.get("/runs", HTTP_SEC_FETCH_SITE="cross-site").status == 200


# -- refused ------------------------------------------------------------------------------------------------------

PAGES = ["/", "/runs", "/timeline", "/services", "/events", "/problems", "/live", "/head", "/confirm?do=stop:x"]


@pytest.mark.parametrize("page", [*PAGES, "/api/v1/instance", "/api/v1/events", "/metrics", "/jobs/x", "/nothing"])
def test_without_a_token_nothing_is_shown(stranger: Site, page: str) -> None:
    for headers in (BROWSER, {}):
        answer = stranger("GET", page, **headers)
        assert answer.status == 401
        assert "crontab" not in answer.text
    assert "Bearer" in stranger("GET", page).headers["WWW-Authenticate"]


def test_a_wrong_token_is_refused(stranger: Site) -> None:
    for token in ("", "x", TOKEN[:-1], f"{TOKEN}x", "ü", TOKEN.upper()):
        assert stranger.bearer("GET", "/api/v1/instance", token).status == 401
    assert stranger.get("/?token=wrong").status == 403
    assert stranger.bearer("GET", "/api/v1/instance").status == 200
    assert stranger.bearer("GET", "/runs").status == 200


def test_after_ten_wrong_tokens_an_address_has_to_wait_a_minute(stranger: Site) -> None:
    for _ in range(WRONG_TOKENS):
        assert stranger.bearer("GET", "/api/v1/instance", "guess").status == 401
    for answer in (
        stranger.bearer("GET", "/api/v1/instance"),
        stranger.get(f"/?token={TOKEN}"),
        stranger.post("/login", {"token": TOKEN}),
    ):
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= WINDOW + 1
    assert stranger.bearer("GET", "/api/v1/instance", REMOTE_ADDR="127.0.0.2").status == 200
    sleep(WINDOW)
    assert stranger.bearer("GET", "/api/v1/instance").status == 200


def test_an_address_that_has_to_wait_keeps_its_session(site: Site) -> None:
    for _ in range(WRONG_TOKENS):
        site.bearer("GET", "/api/v1/instance", "guess")
    assert site.get("/runs").status == 200


def test_addresses_of_one_network_of_ipv6_wait_together(stranger: Site) -> None:
    for number in range(WRONG_TOKENS):
        stranger.bearer("GET", "/api/v1/instance", "guess", REMOTE_ADDR=f"2001:db8::{number}")
    assert stranger.bearer("GET", "/api/v1/instance", REMOTE_ADDR="2001:db8::ffff").status == 429
    assert stranger.bearer("GET", "/api/v1/instance", REMOTE_ADDR="2001:db8:0:1::1").status == 200


def test_clients_of_ipv4_do_not_wait_together_where_the_listener_is_of_ipv6(stranger: Site) -> None:
    for _ in range(WRONG_TOKENS):
        stranger.bearer("GET", "/api/v1/instance", "guess", REMOTE_ADDR="::ffff:192.0.2.1")
    assert stranger.bearer("GET", "/api/v1/instance", REMOTE_ADDR="::ffff:192.0.2.1").status == 429
    assert stranger.bearer("GET", "/api/v1/instance", REMOTE_ADDR="::ffff:192.0.2.2").status == 200


def test_however_many_addresses_guess_little_is_remembered(stranger: Site) -> None:
    for number in range(5000):
        stranger.access.check_token("guess", f"network {number}")
    assert len(stranger.access._tries._wrong) <= 4096


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "", "10.0.0.1", "localhost.evil", "[::2]"]
)
def test_another_host_is_refused(site: Site, host: str) -> None:
    """A page of evil.example whose name points to 127.0.0.1 is of the same origin for a browser (DNS rebinding)."""
    for path in ("/", "/healthz", "/static/gcron.css", "/api/v1/instance"):
        assert site.get(path, HTTP_HOST=host).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:9180", "LOCALHOST:8080", "localhost", "localhost.", "[::1]:9180", "[::1]"])
def test_the_names_of_the_listener_are_taken(site: Site, host: str) -> None:
    assert site.get("/runs", HTTP_HOST=host).status == 200


def test_a_listener_for_everybody_takes_addresses_and_no_other_names(make_site: MakeSite) -> None:
    site = make_site("0.0.0.0:9180", hosts=frozenset({"cron.example.org"}), anonymous="read")
    for host in ("192.168.1.5:9180", "cron.example.org", "[2001:db8::1]:9180"):
        assert site.get("/runs", HTTP_HOST=host).status == 200
    assert site.get("/runs", HTTP_HOST="evil.example").status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9181", f"https://{HOST}"])
def test_a_change_from_another_origin_is_refused(site: Site, origin: str) -> None:
    site.gcron.scheduler.command("true", "@manual", name="job")
    foreign = {"HTTP_ORIGIN": origin}
    csrf = site.csrf
    assert site.post("/do", {"do": "run:job", "csrf": csrf}, **foreign).status == 403
    assert site.bearer("POST", "/api/v1/jobs/job/trigger", **foreign).status == 403
    assert site.post("/login", {"token": TOKEN}, **foreign).status == 403
    assert site.post("/logout", {"csrf": csrf}, **foreign).status == 403


def test_a_change_that_does_not_say_where_it_comes_from_needs_a_token(site: Site) -> None:
    site.gcron.scheduler.command("true", "@manual", name="job")
    silent = {"HTTP_ORIGIN": "", "HTTP_SEC_FETCH_SITE": ""}
    assert site.post("/do", {"do": "pause:job", "csrf": site.csrf}, **silent).status == 403
    assert site.bearer("POST", "/api/v1/jobs/job/pause").status == 200


@pytest.mark.parametrize("csrf", ["", "x", "ü", "0" * 64])
def test_a_change_without_the_token_of_its_form_is_refused(site: Site, csrf: str) -> None:
    site.gcron.scheduler.command("true", "@manual", name="job")
    assert site.post("/do", {"do": "pause:job", "csrf": csrf}).status == 403
    assert site.post("/api/v1/jobs/job/pause", CONTENT_TYPE="", HTTP_X_CSRF_TOKEN=csrf).status == 403
    assert not site.gcron.scheduler.is_paused("job")


def test_the_token_of_a_form_is_of_one_session(site: Site) -> None:
    csrf = site.csrf
    site.sign_in()
    assert site.post("/do", {"do": "pause:job", "csrf": csrf}).status == 403


def test_get_changes_nothing(site: Site) -> None:
    site.gcron.scheduler.command("true", "@manual", name="job")
    for path in ("/do?do=pause:job", f"/do?do=pause:job&csrf={site.csrf}", "/logout", "/api/v1/jobs/job/pause"):
        assert site.get(path).status in (404, 405)
    assert site.get("/confirm?do=stop-job:job").status == 200
    assert not site.gcron.scheduler.is_paused("job")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POST"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    answer = site(method, "/runs", **OWN)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static//etc/passwd",
        "/static/",
        "/..",
        "/../../etc/passwd",
        "/jobs/",
        "//",
        "/runs/../../x",
        "/%00",
        "/%ff",
    ],
)
def test_no_path_leads_out_of_the_pages(site: Site, path: str) -> None:
    assert site.get(path).status == 404


def test_a_form_is_limited(site: Site) -> None:
    csrf = site.csrf
    assert site.post("/do", {"do": "x" * 20_000, "csrf": csrf}).status == 413
    assert site.post("/do", {str(number): "" for number in range(100)}).status == 400
    assert site.post("/do", {"csrf": csrf}, CONTENT_TYPE="text/plain").status == 415
    assert site.get("/?" + "&".join(f"a{number}=" for number in range(100))).status == 400


# -- anonymous ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "allowed"),
    [
        ("none", set()),
        ("health", {"/healthz"}),
        ("metrics", {"/healthz", "/metrics"}),
        ("read", {"/healthz", "/metrics", "/runs", "/api/v1/jobs"}),
    ],
)
def test_what_is_asked_without_a_token_is_chosen(make_site: MakeSite, level: str, allowed: set[str]) -> None:
    site = make_site(anonymous=level)
    site.gcron.scheduler.command("true", "@manual", name="job")
    for path in ("/healthz", "/metrics", "/runs", "/api/v1/jobs"):
        assert (site.get(path).status == 200) is (path in allowed)
    assert site.post("/do", {"do": "pause:job"}).status == 401
    assert site("POST", "/api/v1/jobs/job/pause").status == 401


def test_who_may_only_read_sees_no_buttons(make_site: MakeSite) -> None:
    site = make_site(anonymous="read")
    site.gcron.scheduler.command("true", "@manual", name="job")
    assert "<button name=do" not in site.get("/").text
    assert "run:" not in site.get("/jobs/job").text


# -- every answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES[:-1], "/static/gcron.js", "/healthz", "/api/v1/jobs", "/nothing", "/login"])
def test_every_answer_has_the_headers_that_protect(site: Site, path: str) -> None:
    answer = site.get(path)
    assert set(answer.headers) >= ALWAYS
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "Server" not in answer.headers


# -- behind a proxy -----------------------------------------------------------------------------------------------


def forwarded(**more: str) -> dict[str, str]:
    return {
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 203.0.113.9, 10.0.0.7",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "cron.example.org",
        **more,
    }


def test_headers_of_a_proxy_that_is_not_named_mean_nothing(make_site: MakeSite) -> None:
    site = make_site(hosts=frozenset({"cron.example.org"}))
    answer = site.get(f"/?token={TOKEN}", **forwarded())
    assert "Secure" not in answer.headers["Set-Cookie"]
    for _ in range(WRONG_TOKENS):
        site.bearer("GET", "/api/v1/jobs", "guess", **forwarded(HTTP_X_FORWARDED_FOR="1.2.3.4"))
    assert site.bearer("GET", "/api/v1/jobs", HTTP_X_FORWARDED_FOR="1.2.3.5").status == 429


def test_a_proxy_that_is_named_says_who_the_client_is(make_site: MakeSite) -> None:
    proxies = read_proxies("10.0.0.0/8,127.0.0.1")
    site = make_site(hosts=frozenset({"cron.example.org"}), proxies=proxies, prefix="/cron")
    answer = site.get(f"/cron/?token={TOKEN}", **forwarded())
    assert (answer.status, answer.place) == (303, "/cron/")
    assert "; Secure" in answer.headers["Set-Cookie"]
    assert "Path=/cron;" in answer.headers["Set-Cookie"]
    for _ in range(WRONG_TOKENS):  # what the client wrote before the address that the proxy saw does not help it
        site.bearer("GET", "/api/v1/jobs", "guess", **forwarded(HTTP_X_FORWARDED_FOR="5.5.5.5, 203.0.113.9"))
    assert site.bearer("GET", "/cron/api/v1/jobs", **forwarded()).status == 429
    other = forwarded(HTTP_X_FORWARDED_FOR="203.0.113.10")
    assert site.bearer("GET", "/cron/api/v1/jobs", **other).status == 200
    site.cookie = answer.cookie()
    page = site.get("/cron/runs", **other).text
    assert "'/cron/" in page or '"/cron/' in page
    own = {"HTTP_ORIGIN": "https://cron.example.org", **other}
    assert site.post("/cron/do", {"do": "x"}, **own).status == 403  # no csrf token, and not the origin
    assert "form" in site.post("/cron/do", {"do": "x"}, **own).text


def test_below_a_prefix_links_and_forms_have_it(make_site: MakeSite) -> None:
    site = make_site(prefix="/cron", anonymous="read")
    for path in ("/cron/runs", "/runs", "/cron", "/cron/"):  # whether or not the proxy removes it
        page = site.get(path).text
        assert not re.findall(r"""(?:href|src|action)=["']?/(?!cron)""", page)


@pytest.mark.parametrize("host", ["a.example", "a.example:80", "[::1]:80", "[::1]", "a.example."])
def test_a_host_is_read_without_its_port(host: str) -> None:
    assert host_name(host) in ("a.example", "::1")


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "example.org", "10.0.0.1/8"])
def test_what_is_no_address_of_a_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        read_proxies(text)


# -- bounded ------------------------------------------------------------------------------------------------------


def test_too_many_requests_under_way_get_an_answer_at_once(site: Site) -> None:
    site.application._under_way = 64
    answer = site.get("/runs")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_streams_are_limited(site: Site) -> None:
    opened = [site.get("/live") for _ in range(5)]
    for answer in opened:
        next(answer.pieces)
    assert site.get("/live").status == 503
    for answer in opened:
        answer.pieces.close()
    assert site.get("/live").status == 200


def test_health_says_what_is_wrong(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from gcron.scheduler.door import StoreUnavailable

    assert (site.get("/healthz").status, site.get("/healthz").body) == (200, b"ok\n")

    def fail() -> Any:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(site.gcron.scheduler.store, "facts", fail)
    site.application._health._asked = float("-inf")
    answer = site.get("/healthz")
    assert answer.status == 503
    assert "the disk is gone" in answer.text
