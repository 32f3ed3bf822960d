"""Webhooks and pings with real servers: what is sent, what answers mean, and peers that misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gcron.crontab import Target
from gcron.notify import http
from gcron.notify.delivery import DeliveryError, DeliveryThreads
from gcron.notify.message import Message
from gcron.notify.ping import Ping, PingSender, ping_of
from gcron.notify.routes import TargetRoute
from gcron.notify.secrets import shown_url, url_of
from gcron.notify.senders import SenderSettings, make_sender
from gcron.notify.webhook import WebhookSender
from gcron.schedule.clock import SystemClock
from gcron.wsgi import WSGIServer
from tests.notify.conftest import hang
from tests.waiting import PATIENCE

RECORD = {
    "event": "run-finished",
    "job": "backup",
    "run_id": "0123456789abcdef",
    "outcome": "failed",
    "reason_code": "exit-status",
    "exit_code": 3,
    "duration": 1.5,
}
FAILURE = Message("msg_1", "failure", 1767225600.0, "backup failed", "backup", "", RECORD, "no space\n", "no space\n")
SUCCESS = Message("msg_2", "success", 0.0, "backup succeeded", "backup", "", RECORD | {"exit_code": 0})


class HTTPPeer:
    """A server that remembers requests, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = "200 OK"
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.url = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        request = {name.removeprefix("HTTP_"): value for name, value in environ.items() if isinstance(value, str)}
        self.requests.append({**request, "body": environ["wsgi.input"].read()})
        start_response(self.status, self.headers)
        return [self.body]


@pytest.fixture
def peer() -> Iterator[HTTPPeer]:
    peer = HTTPPeer()
    server = WSGIServer(("127.0.0.1", 0), peer, log=None, error_log=None)
    server.start()
    peer.url = f"http://127.0.0.1:{server.server_port}"
    yield peer
    server.stop(timeout=0)


def deliver(sender: Any, message: Message = FAILURE) -> str:
    """Deliver as a channel does: in a thread, while the servers of the test run in this one."""
    call = DeliveryThreads().call(sender.send, message, PATIENCE)
    return call.result.get()


def failure_of(sender: Any, message: Message = FAILURE) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        deliver(sender, message)
    return caught.value


# -- webhooks ---------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_the_record_with_the_field_names_of_the_log(peer: HTTPPeer) -> None:
    assert deliver(WebhookSender(peer.url + "/hook?a=b")) == "status 200"

    (request,) = peer.requests
    assert (request["REQUEST_METHOD"], request["PATH_INFO"], request["QUERY_STRING"]) == ("POST", "/hook", "a=b")
    assert request["CONTENT_TYPE"] == "application/json"
    body = json.loads(request["body"])
    assert body == {
        **RECORD,
        "message_id": "msg_1",
        "kind": "failure",
        "title": "backup failed",
        "text": "",
        "output": "no space\n",
    }


@pytest.mark.parametrize("key", ["topsecret", "whsec_" + base64.b64encode(b"topsecret").decode()])
def test_a_webhook_is_signed_as_github_and_standard_webhooks_do(peer: HTTPPeer, tmp_path: Path, key: str) -> None:
    (tmp_path / "key").write_text(key + "\n")
    deliver(WebhookSender(peer.url, str(tmp_path / "key")))

    (request,) = peer.requests
    secret, body = b"topsecret", request["body"]
    assert request["X_HUB_SIGNATURE_256"] == "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    signed = f"msg_1.{request['WEBHOOK_TIMESTAMP']}.".encode() + body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert (request["WEBHOOK_ID"], request["WEBHOOK_SIGNATURE"]) == ("msg_1", f"v1,{expected}")


def test_a_template_makes_the_body(peer: HTTPPeer, tmp_path: Path) -> None:
    (tmp_path / "body.j2").write_text('{"text": {{ (job ~ ": " ~ outcome) | tojson }}}')
    deliver(WebhookSender(peer.url, body_file=str(tmp_path / "body.j2")))

    assert json.loads(peer.requests[0]["body"]) == {"text": "backup: failed"}


@pytest.mark.parametrize(
    ("status", "final"),
    [
        ("400 Bad Request", True),
        ("404 Not Found", True),
        ("410 Gone", True),
        ("429 Too Many Requests", False),
        ("500 Internal Server Error", False),
        ("503 Service Unavailable", False),
    ],
)
def test_the_status_decides_whether_it_is_tried_again(peer: HTTPPeer, status: str, final: bool) -> None:
    peer.status, peer.body = status, b"why\n it failed\x00"
    error = failure_of(WebhookSender(peer.url))

    assert (error.final, str(error)) == (final, f"status {status[:3]}: why it failed")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), ("9999999", 3600.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), ("-5", None)],
)
def test_retry_after_is_obeyed(peer: HTTPPeer, value: str, seconds: float | None) -> None:
    peer.status, peer.headers = "429 Too Many Requests", [("Retry-After", value)]

    assert failure_of(WebhookSender(peer.url)).retry_after == seconds


def test_a_redirect_to_another_host_does_not_get_the_secret(peer: HTTPPeer) -> None:
    other = HTTPPeer()
    server = WSGIServer(("127.0.0.1", 0), other, log=None, error_log=None)
    server.start()
    peer.status = "307 Temporary Redirect"
    peer.headers = [("Location", f"http://127.0.0.1:{server.server_port}/SECRET")]
    error = failure_of(WebhookSender(peer.url))
    server.stop(timeout=0)

    assert other.requests == []
    assert error.final
    where = f"http://127.0.0.1:{server.server_port}"
    assert str(error) == f"status 307: it redirects to {where}, which is not followed"


def test_a_url_may_have_a_password(peer: HTTPPeer) -> None:
    """`%40` was sent as it stands in the URL, and the server refused the password."""
    deliver(WebhookSender(peer.url.replace("://", "://me:p%40ss%C3%A4@")))

    assert peer.requests[0]["AUTHORIZATION"] == "Basic " + base64.b64encode("me:p@ssä".encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        "Cannot POST /services/T0BX81/{SECRET}",
        "Cannot POST /services/T0BX81/topsecr…",
        "no such hook: t0bx81",
        "bad token: TOKEN/+TOKEN",
        "bad token: TOKEN%2F%2BTOKEN",
        "who is me?",
        "wrong password: p@ss",
        "Authorization: Basic " + base64.b64encode(b"me:p@ss").decode(),
    ],
)
def test_what_a_server_says_is_left_out_when_it_has_a_part_of_the_url(peer: HTTPPeer, said: str) -> None:
    """Apache, Express and others name the path in their pages for 404: a webhook's secret was in the log."""
    url = peer.url.replace("://", "://me:p%40ss@") + "/services/T0BX81/topsecret?token=TOKEN%2F%2BTOKEN"
    peer.status, peer.body = "404 Not Found", said.replace("{SECRET}", "topsecret").encode()

    assert str(failure_of(WebhookSender(url))) == (
        "status 404: what the server says is left out, for it has a part of the URL"
    )
    assert str(failure_of(PingSender(Target("hc", url, ping_style="plain")), SUCCESS)).endswith("a part of the URL")


def test_a_proxy_of_the_environment_is_used(peer: HTTPPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", peer.url)
    monkeypatch.delenv("no_proxy", raising=False)
    deliver(WebhookSender("http://hooks.example/path"))

    assert peer.requests[0]["HOST"] == "hooks.example"
    assert "PROXY_AUTHORIZATION" not in peer.requests[0]


def test_a_proxy_may_ask_for_a_password(peer: HTTPPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", peer.url.replace("://", "://me:p%40ss@"))
    monkeypatch.delenv("no_proxy", raising=False)
    deliver(WebhookSender("http://hooks.example/path"))

    assert peer.requests[0]["PROXY_AUTHORIZATION"] == "Basic " + base64.b64encode(b"me:p@ss").decode()


# -- peers that misbehave ---------------------------------------------------------------------------------------------


@pytest.fixture
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TIMEOUT", http.urllib3.Timeout(connect=0.3, read=0.3))


def test_a_peer_that_refuses_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure_of(WebhookSender(f"http://127.0.0.1:{port}/SECRET"))

    assert (str(error), error.final) == ("no connection: Connection refused", False)


@pytest.mark.usefixtures("_short_timeouts")
def test_a_peer_that_does_not_accept_is_left_after_a_while() -> None:
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill its queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        error = failure_of(WebhookSender(f"http://127.0.0.1:{listener.getsockname()[1]}/SECRET"))

    assert (str(error), error.final) == ("no connection within 10 s", False)


def test_a_host_that_does_not_exist_is_tried_again() -> None:
    error = failure_of(WebhookSender("https://nowhere.invalid/SECRET"))

    assert (str(error), error.final) == ("the host's name is not known", False)


@pytest.mark.usefixtures("_short_timeouts")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_peer_that_hangs_is_left_after_a_while(scheme: str, bad_peer: Callable[..., str]) -> None:
    """In TLS, or before the answer."""
    error = failure_of(WebhookSender(f"{scheme}://{bad_peer(hang)}/SECRET"))

    assert not error.final
    assert "SECRET" not in str(error)
    assert "no answer within" in str(error) or "no connection within" in str(error)


@pytest.mark.usefixtures("_short_timeouts")
def test_a_peer_that_hangs_in_the_body_has_taken_the_message(bad_peer: Callable[..., str]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        threading.Event().wait(1)

    assert deliver(WebhookSender(f"http://{bad_peer(answer)}/")) == "status 200"


def test_a_peer_that_closes_in_the_middle_of_an_answer_is_tried_again(bad_peer: Callable[..., str]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 20")

    error = failure_of(WebhookSender(f"http://{bad_peer(answer)}/SECRET"))

    assert (error.final, "SECRET" in str(error)) == (False, False)
    assert str(error).startswith("the connection broke: ")


def test_a_peer_that_speaks_another_protocol_is_tried_again(bad_peer: Callable[..., str]) -> None:
    address = bad_peer(lambda connection: connection.sendall(b"SSH-2.0\r\n"))
    error = failure_of(WebhookSender(f"http://{address}/"))

    assert not error.final


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for another host, which nobody has signed."""
    path = tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other.example"
    options = "-addext subjectAltName=DNS:other.example"
    files = ["-keyout", tmp_path / "key.pem", "-out", path]
    subprocess.run([*make.split(), *options.split(), *files], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_wrong_certificate_gets_no_message(
    certificate: Path, bad_peer: Callable[..., str], monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    got: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            got.append(secure.recv(65536))

    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    error = failure_of(WebhookSender(f"https://{bad_peer(answer)}/SECRET"))

    assert got in ([], [b""])
    assert not error.final
    why = "IP address mismatch" if is_trusted else "self-signed certificate"
    assert str(error).startswith("TLS: the certificate is not accepted: ")
    assert why in str(error)


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_a_url_may_stand_in_a_file_or_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://a.example/SECRET\n")

    assert url_of(Target("ops", url_file=str(tmp_path / "url"))) == "https://a.example/SECRET"
    assert (
        url_of(Target("ops", url="https://a.example/${KEY}"), variables={"KEY": "SECRET"}) == "https://a.example/SECRET"
    )
    with pytest.raises(DeliveryError, match="no variable KEY"):
        url_of(Target("ops", url="https://a.example/${KEY}"), variables={})


def test_a_file_that_is_no_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("SECRET\nSECRET\n")

    with pytest.raises(DeliveryError) as caught:
        url_of(Target("ops", url_file=str(tmp_path / "url")))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:SECRET@hooks.example:8443/SECRET?a=SECRET", "https://hooks.example:8443"),
        ("https://[::1]:80/SECRET", "https://[::1]:80"),
        ("https://${SECRET}", "https://"),
        ("slack://SECRET/SECRET", "slack://"),
        ("mailto:ops@example.com", "mailto:ops@example.com"),
        ("mailto://ops@example.com?pass=SECRET", "mailto:ops@example.com"),
        ("https://[SECRET", "a URL"),
        ("${SECRET}", "a URL"),
    ],
)
def test_a_url_is_shown_as_scheme_and_host(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_scheme_of_a_url_in_a_file_decides_the_kind(peer: HTTPPeer, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(peer.url)
    settings = SenderSettings(SystemClock(), lambda event: None)
    sender = make_sender(TargetRoute(Target("ops", url_file=str(tmp_path / "url"))), settings)

    assert deliver(sender) == "status 200"


# -- pings ------------------------------------------------------------------------------------------------------------

RID = str(uuid.uuid5(uuid.NAMESPACE_URL, "gcron:0123456789abcdef"))


@pytest.mark.parametrize(
    ("kind", "record", "path", "body"),
    [
        ("start", {}, "/start", None),
        ("success", {"exit_code": 0}, "", b"no space\n"),
        ("failure", {}, "/3", b"no space\n"),
        ("failure", {"exit_code": -9, "reason_code": "signal"}, "/fail", b"no space\n"),
        ("failure", {"exit_code": None, "reason_code": "timeout"}, "/fail", b"no space\n"),
        ("skipped", {}, "/log", b"no space\n"),
        ("test", {}, "/log", b"no space\n"),  # it was a success, and ended a true alarm
    ],
)
def test_the_protocol_of_healthchecks(kind: str, record: dict[str, Any], path: str, body: bytes | None) -> None:
    message = Message("m", kind, 0.0, "title", "backup", record=RECORD | record, tail="no space\n")

    assert ping_of("healthchecks", "https://hc.example/UUID", message) == Ping(
        f"https://hc.example/UUID{path}?rid={RID}", body
    )


@pytest.mark.parametrize(
    ("style", "message", "url"),
    [
        ("cronitor", SUCCESS, "?state=complete&message=backup+succeeded&series=0123456789abcdef&status_code=0"),
        ("cronitor", FAILURE, "?state=fail&message=backup+failed&series=0123456789abcdef&status_code=3"),
        ("uptime-kuma", SUCCESS, "?status=up&msg=backup+succeeded&ping=1500"),
        ("uptime-kuma", FAILURE, "?status=down&msg=backup+failed&ping=1500"),
        ("plain", SUCCESS, ""),
        ("plain", FAILURE, None),
    ],
)
def test_other_styles(style: str, message: Message, url: str | None) -> None:
    ping = ping_of(style, "https://a.example/x", message)

    assert ping == (None if url is None else Ping("https://a.example/x" + url))


def test_a_ping_keeps_the_query_of_its_url(peer: HTTPPeer) -> None:
    deliver(PingSender(Target("hc", peer.url + "/id?create=1", ping_style="healthchecks")))

    (request,) = peer.requests
    assert (request["REQUEST_METHOD"], request["PATH_INFO"]) == ("POST", "/id/3")
    assert request["QUERY_STRING"] == f"create=1&rid={RID}"
    assert request["body"] == b"no space\n"


def test_the_body_of_a_ping_is_the_last_10_kb() -> None:
    message = Message("m", "success", 0.0, "t", record=RECORD, tail="é" * 10_000)
    ping = ping_of("healthchecks", "https://a.example", message)

    assert ping is not None
    assert ping.body is not None
    assert len(ping.body) == 10_000
