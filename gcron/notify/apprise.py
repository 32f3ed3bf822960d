"""All other services, more than a hundred, through Apprise: `pip install 'gcron[notify]'`. For threads."""

from __future__ import annotations

import logging
import re

from gcron.notify.delivery import DeliveryError
from gcron.notify.message import Message

__all__ = ["AppriseSender"]

_BAD = ("failure", "overdue", "missed", "late")
_GOOD = ("recovery", "success")
_STATUS = re.compile(r"error=(\d{3})\b")


class AppriseSender:
    """Delivers to a URL that Apprise knows."""

    blocks = True

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: Message) -> str:
        """See `Sender`."""
        try:
            import apprise
        except ModuleNotFoundError:
            raise DeliveryError("this URL needs Apprise: pip install 'gcron[notify]'", final=True) from None
        receivers = apprise.Apprise()
        # What Apprise logs may hold the URL: it is looked through for a status, and not shown.
        with apprise.LogCapture(level=logging.INFO) as log:  # type: ignore[no-untyped-call]
            if not receivers.add(self._url):
                raise DeliveryError("Apprise does not know such a URL, or something in it is missing", final=True)
            kind = "failure" if message.kind in _BAD else "success" if message.kind in _GOOD else "info"
            text = "\n\n".join(part for part in (message.text, message.tail[-2000:]) if part)
            if receivers.notify(title=message.title, body=text or message.title, notify_type=kind):
                return "delivered by Apprise"
            status = _STATUS.search(log.getvalue())
        raise DeliveryError("Apprise could not deliver it" + (f": status {status[1]}" if status else ""))
