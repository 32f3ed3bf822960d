"""`# gcron-notify: NAME url=… on=…`: where messages go, as plain data (docs/notifications.md).

This module does not know how a message is delivered, and touches no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from gcron.crontab.mail_address import address_in, addressees, is_sender
from gcron.frozen import frozen
from gcron.policy import Option, PolicyError, nearest
from gcron.policy.values import Refused, read_path, read_seconds

__all__ = ["DEFAULT_ON", "KINDS", "NOTIFY_KEEP", "PING_STYLES", "TARGET_OPTIONS", "VARIABLE", "Target", "target_of"]

KINDS = (
    "failure",
    "recovery",
    "success",
    "output",
    "overdue",
    "missed",
    "skipped",
    "late",
    "service",
    "reload",
)
"""What a message can be about: the words of `on=`."""
DEFAULT_ON = ("failure", "recovery", "overdue", "service", "reload")
PING_STYLES = ("healthchecks", "cronitor", "uptime-kuma", "plain")

# As text: `re` compiles each at its first use.
_TIME = "([01][0-9]|2[0-3]):([0-5][0-9])"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:\S+"
VARIABLE = r"\$\{([A-Za-z_]\w*)\}"
"""A variable of gcron's own environment in a URL, with its name as the group."""


@frozen
class Target:
    """Where messages go, and which ones."""

    name: str
    url: str = ""
    """May have `${NAME}`, a variable of gcron's own environment."""
    url_file: str = ""
    """A file that holds the URL, because it is a secret."""
    ping_style: str = ""
    """One of `PING_STYLES` for a URL that is called at the start and the end of a run; empty for others."""
    on: tuple[str, ...] = DEFAULT_ON
    quiet: tuple[int, int] | None = None
    """Minutes of the day, from and to, in which only urgent messages are sent."""
    secret_file: str = ""
    """A file with the key that signs a webhook."""
    body_file: str = ""
    """A template for the body of a webhook."""
    mail_from: str = ""
    """The address that mail comes from; empty for gcron's own."""
    path: str = ""
    line: int = 0
    """Where it is declared: from 1, or 0 in a program."""


def target_of(name: str, settings: Mapping[str, object], path: str = "", line: int = 0) -> Target:
    """Make a target of checked settings, by their names in directives. Raises PolicyError for a wrong combination."""
    given = [key for key in ("url", "url-file", "ping") if key in settings]
    if len(given) != 1:
        message = f"the target {name} has " + (f"{' and '.join(given)}" if given else "no URL")
        raise PolicyError(message, key="url", hint="give it one of url=, url-file= and ping=")
    values = {key.replace("-", "_"): value for key, value in settings.items()}
    if "ping" in values:
        values["url"] = values.pop("ping")
        values.setdefault("ping_style", PING_STYLES[0])
    is_ping = "ping_style" in values
    url = str(values.get("url", ""))
    for key in ("secret-file", "body-file"):
        if key in settings and (is_ping or not re.match(r"https?:|$|\$", url)):
            raise PolicyError(f"{key} is for a webhook", key=key, hint="its url= begins with https://")
    if is_ping and "on" in values:
        raise PolicyError("on= means nothing to a ping", key="on", hint="leave it out: each run is reported")
    target: Target = Target(name, path=path, line=line, **values)  # type: ignore[arg-type]
    return target


def _read_url(value: object) -> str:
    if isinstance(value, str) and (re.fullmatch(_SCHEME, value) or re.fullmatch(VARIABLE + r"\S*", value)):
        if value.lower().startswith("mailto:") and "$" not in value and not addressees(address_in(value)):
            raise Refused("has no address of mail", "mailto:ops@example.com; gcron run --mailer names the mail server")
        return value
    # Without the value: it may be a secret, and this goes into the log.
    raise Refused("is no URL", "https://…, mailto:ops@example.com, or slack://… and others through Apprise")


def _read_ping(value: object) -> str:
    if isinstance(value, str) and re.match(r"https?://[^/\s]|\$\{", value) and not re.search(r"\s", value):
        return value
    raise Refused("is no URL that can be called", "https://hc-ping.com/UUID")


def _read_kinds(value: object) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, Iterable):
        raise Refused(f"cannot be {value!r}", "one or more of " + ", ".join(KINDS))
    kinds = tuple(dict.fromkeys(word.strip(" ") if isinstance(word, str) else str(word) for word in words))
    for kind in kinds:
        if kind not in KINDS:
            raise Refused(f"cannot be {kind!r}", nearest(kind, KINDS))
    if not kinds:
        raise Refused("needs a word", "one or more of " + ", ".join(KINDS))
    return kinds


def _read_quiet(value: object) -> tuple[int, int]:
    match = re.fullmatch(f"{_TIME}-{_TIME}", value) if isinstance(value, str) else None
    if match is None:
        raise Refused(f"cannot be {value!r}", "two times of the day: 22:00-07:00")
    hours = [int(number) for number in match.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if begin == end:
        raise Refused(f"cannot be {value!r}", "two different times: 22:00-07:00")
    return begin, end


def _read_style(value: object) -> str:
    if value in PING_STYLES:
        return str(value)
    raise Refused(f"cannot be {value!r}", "one of " + ", ".join(PING_STYLES))


def _read_sender(value: object) -> str:
    if isinstance(value, str) and is_sender(value):
        return value
    raise Refused(f"cannot be {value!r}", "one address: backup@example.com")


def _read_file(value: object) -> str:
    return read_path(value) or ""


_READERS: Sequence[tuple[str, Callable[[object], object], str]] = (
    ("url", _read_url, "where messages go: `https://…`, `mailto:ops@example.com`, `slack://…`"),
    ("url-file", _read_file, "a file that holds the URL"),
    ("ping", _read_ping, "a URL that is called at the start and the end of each run"),
    ("ping-style", _read_style, "how it is called: `healthchecks`, `cronitor`, `uptime-kuma`, `plain`"),
    ("on", _read_kinds, "which messages it gets"),
    ("quiet", _read_quiet, "the hours in which messages that are not urgent wait: `22:00-07:00`"),
    ("secret-file", _read_file, "a file with the key that signs a webhook"),
    ("body-file", _read_file, "a template for the body of a webhook"),
    ("mail-from", _read_sender, "the address that mail comes from; without it, that of `MAILFROM` in a line above"),
)
TARGET_OPTIONS: Mapping[str, Option] = MappingProxyType(
    {name: Option(name, reader, help=help) for name, reader, help in _READERS}
)
"""What may follow the name of a target, by name."""
NOTIFY_KEEP = Option("notify-keep", read_seconds, default="1d", help="for how long a message is tried, then given up")
"""For all targets: of `gcron run`, and of `Scheduler.notify`."""
