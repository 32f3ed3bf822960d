"""`gcron notify`: one test message to a target, and what came back."""

from __future__ import annotations

import argparse
import time

from gcron.cli.files import load_or_complain
from gcron.cli.messages import say
from gcron.crontab import Loaded, Target
from gcron.notify.delivery import DeliveryError, DeliveryThreads
from gcron.notify.mailer import default_mailer, read_mailer
from gcron.notify.routes import MailRoute, Route, TargetRoute
from gcron.notify.senders import SenderSettings, make_sender, where_of
from gcron.notify.wording import test_message
from gcron.policy import nearest
from gcron.schedule.clock import SystemClock

__all__ = ["main"]

# Seconds for the delivery.
_PATIENCE = 30.0


def main(options: argparse.Namespace) -> int:
    """Send the message; returns 0 when it is delivered, else 1."""
    loaded = load_or_complain(options)
    if loaded is None:
        return 1
    route = _find_route(options.target, loaded)
    if route is None:
        say(_describe_unknown(options.target, loaded))
        return 1
    clock = SystemClock()
    mailer = default_mailer() if options.mailer is None else read_mailer(options.mailer)
    sender = make_sender(route, SenderSettings(clock, lambda event: None, mailer, frozenset(options.trust_owner)))
    started = time.monotonic()
    try:
        call = DeliveryThreads().call(sender.send, test_message(route.name, clock.now()), _PATIENCE)
        if not call.is_over:
            raise DeliveryError(f"no answer within {_PATIENCE:g} s")
        answer = call.result.get()
    except DeliveryError as error:
        say(f"{options.target} ({where_of(route)}): not delivered: {error}")
        return 1
    except Exception as error:  # its text may hold a secret
        say(f"{options.target} ({where_of(route)}): not delivered: gcron itself failed: {type(error).__name__}")
        return 1
    print(f"{options.target} ({where_of(route)}): {answer} after {time.monotonic() - started:.1f} s")
    if isinstance(route, TargetRoute) and route.target.ping_style:
        _warn_of_success(route.target)
    return 0


def _warn_of_success(target: Target) -> None:
    from gcron.notify.ping import takes_tests_as_success  # loads urllib3, as the delivery has done by now

    if takes_tests_as_success(target.ping_style):
        style = target.ping_style
        say(f"{target.name}: warning: {style} has no call for a test. This was a success, which ends an alarm there")


def _find_route(name: str, loaded: Loaded) -> Route | None:
    target: Target | None = loaded.targets.get(name)
    if target is not None:
        return TargetRoute(target)
    senders = {
        entry.environment.get("MAILTO", "").strip(): entry.environment.get("MAILFROM", "") for entry in loaded.entries
    }
    if name in senders or "@" in name:
        return MailRoute(name, senders.get(name, ""), ("test",))
    return None


def _describe_unknown(name: str, loaded: Loaded) -> str:
    message = f"there is no target named {name!r}"
    if loaded.targets:
        return f"{message} ({nearest(name, loaded.targets)})"
    return f"{message}: the file has no line # gcron-notify: {name} url=…"
