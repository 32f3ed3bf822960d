"""The errors that gcron raises for what a program asks of it. This module knows nothing else of gcron.

All have the base `GcronError`. Each also has the built-in base that fits it, so `except ValueError` works, too. Wrong
types of arguments are plain TypeErrors.
"""

from __future__ import annotations

__all__ = ["ArgumentError", "GcronError", "JobError", "JobExistsError", "JobNameError", "NoSuchJobError", "StateError"]


class GcronError(Exception):
    """Base of the errors of schedules, options, crontabs, jobs and schedulers."""


class ArgumentError(GcronError, ValueError):
    """A value that an argument cannot have: a negative `grace`, a kind of event that does not exist."""


class JobError(GcronError, ValueError):
    """A job that cannot be as asked.

    It has no command, an option that means nothing here, or a group or a service that does not exist.
    """


class JobNameError(GcronError):
    """A name that names no job, or one that is taken."""


class JobExistsError(JobNameError, ValueError):
    """There is a job of that name already."""


class NoSuchJobError(JobNameError, KeyError):
    """There is no job of that name."""

    __str__ = Exception.__str__  # that of a KeyError has quotes around it


class StateError(GcronError, RuntimeError):
    """A call that is too early or too late: the scheduler is started, is stopping, or belongs to another process.

    Also a state that cannot be had: another process has the directory, or it cannot be written.
    """
