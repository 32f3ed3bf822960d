"""Who gets messages about a job: its targets, the addressee of its mail, and its own commands. Pure.

A route is a name, what it wants, and what is needed to make a sender. This module makes none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gcron.crontab import Target
from gcron.frozen import frozen
from gcron.scheduler.job import Job
from gcron.supervise.command import Command

__all__ = ["CommandRoute", "MailRoute", "Route", "TargetRoute", "has_routes", "routes_of"]

PING_KINDS = ("start", "success", "failure", "skipped", "missed")
"""What a ping is about, whatever `on=` says: each run, as it comes."""
_COMMANDS = ("failure", "recovery", "success", "overdue")


@frozen
class TargetRoute:
    """To a declared target."""

    target: Target
    owner: ClassVar[str] = ""
    """A user's crontab declares no targets."""

    @property
    def name(self) -> str:
        """Unique among all routes."""
        return self.target.name

    @property
    def shown(self) -> str:
        """The name under which its messages are counted."""
        return self.name

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds of messages."""
        return PING_KINDS if self.target.ping_style else self.target.on


@frozen
class MailRoute:
    """To the addressee that MAILTO names."""

    address: str
    sender: str
    """From MAILFROM; empty for the user that gcron runs as."""
    wanted: tuple[str, ...]
    owner: str = ""
    """The user whose crontab says so; empty for others. Users share no channel: one must not hold up another's mail."""

    @property
    def name(self) -> str:
        """Unique among all routes."""
        sender = f" MAILFROM={self.sender}" if self.sender else ""
        return (f"{self.owner}:" if self.owner else "") + f"MAILTO={self.address}{sender}"

    @property
    def shown(self) -> str:
        """The name under which its messages are counted."""
        return self.name


@frozen
class CommandRoute:
    """To a command of a job's own: `on-failure=` and its like."""

    kind: str
    job: Job

    @property
    def name(self) -> str:
        """Unique among all routes."""
        return f"on-{self.kind}:{self.job.name}"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds of messages."""
        return (self.kind,)

    @property
    def owner(self) -> str:
        """The user whose crontab says so; empty for others."""
        return self.job.owner

    @property
    def shown(self) -> str:
        """The name under which its messages are counted: one for all jobs, for a thousand may have a command."""
        return f"on-{self.kind} commands"

    @property
    def text(self) -> str:
        """For the shell."""
        return str(getattr(self.job.policy, f"on_{self.kind}"))


Route = TargetRoute | MailRoute | CommandRoute


def has_routes(job: Job) -> bool:
    """Whether anybody may get messages about a job. HOT PATH: asked at each start and each end."""
    policy = job.policy
    return bool(
        job.targets
        or policy.on_failure
        or policy.on_recovery
        or policy.on_success
        or policy.on_overdue
        or (type(job.action) is Command and job.action.environment.get("MAILTO"))
    )


def routes_of(job: Job, for_all: Iterable[Target] = (), with_mail: bool = True) -> list[Route]:
    """Return the routes of a job. `for_all`: targets that get messages about every job; `with_mail`: obey MAILTO."""
    targets = {target.name: target for target in (*for_all, *job.targets)}
    routes: list[Route] = [TargetRoute(target) for target in targets.values()]
    if with_mail and isinstance(job.action, Command) and (address := job.action.environment.get("MAILTO", "").strip()):
        wanted = ("failure",) if job.mail_on_failure else ("output",)
        routes.append(MailRoute(address, job.action.environment.get("MAILFROM", "").strip(), wanted, job.owner))
    routes += [CommandRoute(kind, job) for kind in _COMMANDS if getattr(job.policy, f"on_{kind}")]
    return routes
