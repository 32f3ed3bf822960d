"""The words of other schedulers, and of earlier versions of gcron, with what gcron says instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gcron.policy import OPTIONS, PolicyError
from gcron.schedule.other_words import FIELDS, LIMITS, UNITS

__all__ = ["METHODS", "OF_SCHEDULERS", "OF_START", "check_words"]

_KEYWORDS: Mapping[str, str] = {
    "thread": "Python jobs run in threads; greenlet=True is for those that do not",
    "id": "name=",
    "trigger": "the schedule is the first argument: job(cron('30 2 * * *')), job(every('5m')), job(at(moment))",
    "max_instances": "overlap='skip' for one at a time, overlap='allow' and a group= for a limit",
    "misfire_grace_time": "catchup='last' with start_deadline=",
    "coalesce": "catchup='last' runs one of the missed fires, catchup='all' each of them",
    "replace_existing": "remove(name) before, or reschedule(name, …)",
    "jobstore": "gcron keeps no jobs: add them when the program starts",
    "executor": "Python jobs run in threads (Scheduler(threads=…)), commands in processes",
    "next_run_time": "now=True for a first run at the start; trigger(name) runs a job now",
    "run_date": "job(at(moment))",
    "func": "the function comes after: job(schedule)(function)",
    "env": "env= is for commands",
    "stdin": "stdin= is for commands",
    **LIMITS,
    **UNITS,
    **FIELDS,
}
_THREADS = "Scheduler(threads=8): so many Python jobs run at once; commands run in processes"
_NO_JOB_STORE = "gcron keeps no jobs: add them when the program starts"
OF_SCHEDULERS: Mapping[str, str] = {
    "executors": _THREADS,
    "max_workers": _THREADS,
    "jobstores": _NO_JOB_STORE,
    "job_defaults": "each job has its own options, such as overlap= (max_instances) and catchup= (coalesce)",
    "daemon": "the thread of start_thread() keeps no program alive; run() waits in this one",
}
OF_START: Mapping[str, str] = {"paused": "pause(name) before the start, for each job"}
METHODS: Mapping[str, str] = {
    "add_job": "job(schedule)(function), or command('…', schedule)",
    "scheduled_job": "@scheduler.job(schedule)",
    "shutdown": "stop(grace=30)",
    "configure": "Scheduler(timezone=…, threads=…)",
    "state": "is_started",
    "add_executor": _THREADS,
    "remove_executor": _THREADS,
    "add_jobstore": f"job() and command(); {_NO_JOB_STORE}",
    "remove_jobstore": f"job() and command(); {_NO_JOB_STORE}",
    "pause_job": "pause(name)",
    "resume_job": "resume(name)",
    "remove_job": "remove(name)",
    "remove_all_jobs": "replace([])",
    "reschedule_job": "reschedule(name, schedule)",
    "modify_job": "reschedule(name, schedule), or trigger(name) for a run now",
    "get_jobs": "jobs",
    "print_jobs": "overview()",
    "add_listener": "on('run-finished', observer)",
    "remove_listener": "off('run-finished', observer)",
    "every": "job(every('5m'))(function)",
    "run_pending": "run(), start() or start_thread()",
}


def check_words(options: Iterable[str]) -> None:
    """Raise PolicyError for an option that has another name here."""
    for word in options:
        if word in _KEYWORDS and word.replace("_", "-") not in OPTIONS:
            raise PolicyError(f"unknown option {word!r}", key=word, hint=_KEYWORDS[word])
