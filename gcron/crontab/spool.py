"""User crontabs, as in /var/spool/cron/crontabs: the name of a file is its user, who may edit it.

gcron runs as root, and users who are not root write these files. So what a file may say is limited: it must not give
its user the rights of root or of another user, read files as root, stop other jobs, or have the names of others' jobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from gcron.crontab.entry import Crontab, Entry
from gcron.crontab.problem import Problem
from gcron.crontab.source import reason_of, unreadable
from gcron.frozen import replace
from gcron.policy import Policy
from gcron.schedule import AfterJobsSchedule, Schedule

__all__ = ["UserFile", "as_of_user", "files_of", "job_name", "left_out"]

_LEFT_OVER = ("~", ".rpmsave", ".rpmorig", ".rpmnew")
_BEING_WRITTEN = "tmp."
_LONGEST_KILL_AFTER = 60.0
_LONGEST_QUEUE = 1000


class UserFile(NamedTuple):
    """A user's crontab: its path, and whose it is."""

    path: str
    user: str
    uid: int


def files_of(directory: str) -> Iterator[UserFile | Problem]:
    """Yield the crontabs of a directory by name, and a warning for each that belongs to no user of this machine.

    As cron: names with a dot in front, and what editors and package managers leave behind, are passed over. Raises
    CrontabError with one problem.
    """
    import pwd  # the answer may come over the network: only for this

    try:
        with os.scandir(directory) as found:
            names = sorted(file.name for file in found if not file.is_dir(follow_symlinks=False))
    except (OSError, ValueError) as error:
        raise unreadable(directory, reason_of(error)) from None
    for name in names:
        if name.startswith((".", "#", _BEING_WRITTEN)) or name.endswith(_LEFT_OVER):
            continue
        path = os.path.join(directory, name)
        try:
            yield UserFile(path, name, pwd.getpwnam(name).pw_uid)
        except (KeyError, ValueError):
            message = f"is left out: there is no user {name!r} on this machine"
            yield Problem(path, 0, 0, 0, "warning", message, "the name of a user's crontab is the user")


def job_name(user: str, name: str) -> str:
    """Return the name of a job, a service or a group of this user, which no other crontab can have by chance."""
    return f"{user}:{name}"


def as_of_user(crontab: Crontab, user: UserFile) -> Crontab:
    """Return the crontab with the user's groups and services, and with an error for what it may not ask for."""
    policies: dict[int, Policy] = {}
    errors: list[Problem] = []
    for entry in crontab.entries:
        if id(entry.policy) not in policies:
            errors += _refusals(entry, user)
            policies[id(entry.policy)] = _own_names(entry.policy, user.user)
    for target in crontab.targets:
        message, hint = "# gcron-notify: is not for a user's crontab", "MAILTO=, or on-failure= with a command"
        errors.append(Problem(target.path, target.line, 1, 2, "error", message, hint))
    groups = tuple(group._replace(name=job_name(user.user, group.name)) for group in crontab.groups)
    return crontab._replace(
        entries=tuple(
            entry._replace(policy=policies[id(entry.policy)], schedule=_own_jobs(entry.schedule, user.user))
            for entry in crontab.entries
        ),
        problems=(*crontab.problems, *errors),
        groups=groups,
        targets=(),
    )


def _own_names(policy: Policy, user: str) -> Policy:
    if policy.group is None and not policy.after:
        return policy
    group = None if policy.group is None else job_name(user, policy.group)
    return replace(policy, group=group, after=tuple(job_name(user, name) for name in policy.after))


def _own_jobs(schedule: Schedule, user: str) -> Schedule:
    if not isinstance(schedule, AfterJobsSchedule):
        return schedule
    return replace(schedule, jobs=tuple(job_name(user, name) for name in schedule.jobs))


def _refusals(entry: Entry, user: UserFile) -> Iterator[Problem]:
    policy = entry.policy
    if policy.user not in (None, user.user, str(user.uid)):
        yield _refusal(entry, f"user={policy.user}", f"its jobs run as {user.user}")
    if policy.nice is not None and policy.nice < 0:
        yield _refusal(entry, f"nice={policy.nice}", "0 to 19")
    if policy.env_file is not None:
        yield _refusal(entry, "env-file=", "gcron reads it as root: let the command read it")
    if policy.output == "raw":
        yield _refusal(entry, "output=raw", "lines or discard")
    if policy.notify:
        yield _refusal(entry, "notify=", "MAILTO=, or on-failure= with a command")
    if policy.ready_line is not None:
        yield _refusal(entry, "ready-line=", "ready-when=COMMAND")
    if policy.kill_after > _LONGEST_KILL_AFTER:
        yield _refusal(entry, f"kill-after={policy.kill_after:g}", f"at most {_LONGEST_KILL_AFTER:g} s")
    if policy.queue_limit > _LONGEST_QUEUE:
        yield _refusal(entry, f"queue-limit={policy.queue_limit}", f"at most {_LONGEST_QUEUE}")


def _refusal(entry: Entry, what: str, hint: str) -> Problem:
    message = f"{what} is not for a user's crontab"
    return Problem(entry.path, entry.line, 1, 2, "error", message, hint)


def left_out(path: str, are_kept: bool) -> Problem:
    """Return the warning for a user's crontab that has errors: they must not stop the jobs of others."""
    rest = "its jobs stay as they were" if are_kept else "its jobs do not run"
    return Problem(path, 0, 0, 0, "warning", f"is left out because of its errors: {rest}", "correct the file")
