"""A job's own commands: `on-failure=` and its like, run as the job's user and supervised as a run is."""

from __future__ import annotations

import signal
from functools import cache

from gcron.frozen import replace
from gcron.notify.delivery import DeliveryError
from gcron.notify.message import Message
from gcron.runtime.greenlet import spawn
from gcron.runtime.lock import Semaphore
from gcron.schedule.clock import Clock
from gcron.scheduler.job import Job
from gcron.supervise.attempt import Attempt
from gcron.supervise.command import Command, Identity, new_run_id
from gcron.supervise.events import Emit, JobEvent
from gcron.supervise.outcome import Outcome, Reason, ReasonCode
from gcron.variables import OF_MESSAGES

__all__ = ["CommandSender", "variables_of"]

# Seconds that a command may take, and that its processes have from TERM to KILL.
_TIMEOUT, _KILL_AFTER = 60.0, 2.0
# Seconds for its processes to end when gcron stops.
_LAST_END = 0.7
# Commands at once of one user: a thousand jobs may fail at one moment.
_AT_ONCE = 4
_LONGEST_VALUE = 4_000


class CommandSender:
    """Runs the shell command `text` for each message about `job`; `emit` takes its events, for the log."""

    blocks = False

    def __init__(self, text: str, job: Job, clock: Clock, emit: Emit) -> None:
        self._text = text
        self._job = job
        self._clock = clock
        self._emit = emit

    def send(self, message: Message) -> str:
        """See `Sender`; parks until the command has ended."""
        action = self._job.action
        command = action if isinstance(action, Command) else Command("")
        command = command._replace(
            text=self._text,
            stdin=message.tail.encode() if message.tail else None,
            environment={**command.environment, **variables_of(message)},
        )
        policy = replace(
            self._job.policy,
            timeout=_TIMEOUT,
            kill_after=_KILL_AFTER,
            stop_signal=signal.SIGTERM,
            success_codes=frozenset({0}),
            output="lines",
            start_deadline=_TIMEOUT,
        )
        log_name = f"{self._job.name}:on-{message.kind}"

        def emit(event: JobEvent) -> None:
            self._emit(replace(event, job=log_name))

        with _turns_of(self._job.owner, command.user):
            identity = Identity(self._job.name, new_run_id())
            attempt = Attempt(command, policy, identity, emit, self._clock, sweep=True)
            performing = spawn(attempt.perform)
            try:
                result = performing.get()
            except BaseException:  # gcron stops, and waits no longer
                attempt.stop(Outcome.KILLED, Reason(ReasonCode.SHUTDOWN, "gcron stops"), now=True)
                performing.join(_LAST_END)
                raise
        if not result.succeeded:
            raise DeliveryError(f"the command {result.outcome}: {result.reason}", final=True)
        return "exit status 0"


@cache
def _turns_of(owner: str, user: str | None) -> Semaphore:
    """Those of the commands of one user's crontab, or of root's crontabs that run as one user.

    Four commands that hang are no reason for another user to get no alarm. The machine bounds how many users there are.
    """
    return Semaphore(_AT_ONCE)


def variables_of(message: Message) -> dict[str, str]:
    """Return what a command learns of a message from its environment."""
    values = {"count": 1, **message.record, "kind": message.kind, "title": message.title}
    found = {variable: values.get(field) for variable, field in OF_MESSAGES.items()}
    texts = {variable: "" if value is None else str(value) for variable, value in found.items()}
    return {variable: text.replace("\0", "")[:_LONGEST_VALUE] for variable, text in texts.items()}
