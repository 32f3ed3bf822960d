"""From a route to its sender: the one place that knows all kinds. Each kind is loaded when it is first needed."""

from __future__ import annotations

from gcron.crontab import Target
from gcron.crontab.mail_address import address_in
from gcron.frozen import frozen
from gcron.notify.counts import TargetFacts
from gcron.notify.delivery import Sender
from gcron.notify.mailer import Mailer
from gcron.notify.message import Message
from gcron.notify.routes import CommandRoute, MailRoute, Route
from gcron.notify.secrets import shown_url, url_of
from gcron.schedule.clock import Clock
from gcron.supervise.events import Emit

__all__ = ["SenderSettings", "facts_of", "make_sender", "where_of"]


@frozen
class SenderSettings:
    """What senders need beside their target."""

    clock: Clock
    emit: Emit
    """Takes the events of commands, for the log."""
    mailer: Mailer | None = None
    """None: no mail is sent."""
    trusted_owners: frozenset[int] = frozenset()
    """Ids of users other than root whose files with secrets root reads."""


def make_sender(route: Route, settings: SenderSettings) -> Sender:
    """Return what delivers messages on a route. It reads no file, and waits for nothing."""
    if isinstance(route, CommandRoute):
        from gcron.notify.command import CommandSender

        return CommandSender(route.text, route.job, settings.clock, settings.emit)
    if isinstance(route, MailRoute):
        from gcron.notify.mail import MailSender

        return MailSender(settings.mailer, route.address, route.sender, settings.trusted_owners)
    if route.target.ping_style:
        from gcron.notify.ping import PingSender

        return PingSender(route.target, settings.trusted_owners)
    return _ByScheme(route.target, settings)


def where_of(route: Route) -> str:
    """Return where a route leads, for people, without secrets."""
    if isinstance(route, CommandRoute):
        return f"a command of {route.job.name}"
    if isinstance(route, MailRoute):
        return f"mailto:{route.address}"
    target = route.target
    return f"the URL in {target.url_file}" if target.url_file else shown_url(target.url)


def facts_of(route: Route, jobs: int) -> TargetFacts:
    """Return what the target of a route is, for people. `jobs`: how many have such a command."""
    if isinstance(route, CommandRoute):
        return TargetFacts("of 1 job" if jobs == 1 else f"of {jobs:,} jobs", "command", route.wanted)
    if isinstance(route, MailRoute):
        return TargetFacts(where_of(route), "mail", route.wanted)
    target = route.target
    quiet = "" if target.quiet is None else "-".join(f"{time // 60:02}:{time % 60:02}" for time in target.quiet)
    return TargetFacts(where_of(route), _kind_of(target), route.wanted, quiet)


def _kind_of(target: Target) -> str:
    if target.ping_style:
        return "ping"
    scheme = target.url.partition(":")[0].lower()
    if not scheme or "$" in scheme:  # in a file, or in the environment
        return "unknown"
    return {"mailto": "mail", "http": "webhook", "https": "webhook"}.get(scheme, "apprise")


class _ByScheme:
    """Delivers to a URL by its scheme, which may be known only when its file was read."""

    blocks = True

    def __init__(self, target: Target, settings: SenderSettings) -> None:
        self._target = target
        self._settings = settings

    def send(self, message: Message) -> str:
        """See `Sender`. In a thread: the imports take up to half a second."""
        owners = self._settings.trusted_owners
        url = url_of(self._target, owners)
        scheme = url.partition(":")[0].lower()
        sender: Sender
        if scheme == "mailto":
            from gcron.notify.mail import MailSender

            sender = MailSender(self._settings.mailer, address_in(url), self._target.mail_from, owners)
        elif scheme in ("http", "https"):
            from gcron.notify.webhook import WebhookSender

            sender = WebhookSender(url, self._target.secret_file, self._target.body_file, owners)
        else:
            from gcron.notify.apprise import AppriseSender

            sender = AppriseSender(url)
        return sender.send(message)
