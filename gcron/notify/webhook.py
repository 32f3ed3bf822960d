"""Webhooks: a message as JSON, or as a template makes it, signed when there is a key. For threads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Set

from gcron.notify.delivery import DeliveryError
from gcron.notify.http import check, request
from gcron.notify.message import Message, record_of
from gcron.notify.sandbox import LONGEST_BODY
from gcron.notify.secrets import read_secret, read_text
from gcron.notify.template import render

__all__ = ["WebhookSender", "signatures"]

_STANDARD_KEY = "whsec_"


class WebhookSender:
    """Posts messages to a URL."""

    blocks = True

    def __init__(
        self, url: str, secret_file: str = "", body_file: str = "", trusted_owners: Set[int] = frozenset()
    ) -> None:
        self._url = url
        self._secret_file = secret_file
        self._body_file = body_file
        self._owners = trusted_owners

    def send(self, message: Message) -> str:
        """See `Sender`."""
        record = record_of(message)
        text = render(read_text(self._body_file, self._owners), record) if self._body_file else json.dumps(record)
        body = text.encode("utf-8", "replace")
        if len(body) > LONGEST_BODY:
            raise DeliveryError(f"the body would have {len(body)} bytes, and 1 MiB is the limit", final=True)
        now = time.time()
        kind = "application/json" if text.lstrip()[:1] in ("{", "[") else "text/plain; charset=utf-8"
        headers = {"Content-Type": kind}
        if self._secret_file:
            headers |= signatures(read_secret(self._secret_file, self._owners), message.message_id, int(now), body)
        return check(request("POST", self._url, body, headers, now))


def signatures(key: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove the sender: that of GitHub's webhooks, and those of standardwebhooks.com.

    A key that begins with `whsec_` is base64 after that, as Standard Webhooks have it. Raises DeliveryError.
    """
    secret = key.encode()
    if key.startswith(_STANDARD_KEY):
        try:
            secret = base64.b64decode(key.removeprefix(_STANDARD_KEY), validate=True)
        except binascii.Error:
            raise DeliveryError("the key in secret-file begins with whsec_, and is no base64 after it") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    standard = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{standard}",
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
    }
