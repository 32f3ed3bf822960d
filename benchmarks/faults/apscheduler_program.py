"""A cron made of APScheduler: a `BlockingScheduler` that runs shell commands. For `programs.py`.

Its arguments are the file of jobs, and the URL of a database, if it is to remember.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger


def run(command: str, timeout: int | None) -> None:
    """A time-out is that of `subprocess.run`: APScheduler has none."""
    subprocess.run(command, shell=True, timeout=timeout, check=False)


def trigger(when: str, zone: str) -> Any:
    if when == "@reboot":
        return DateTrigger(timezone=zone)
    return CronTrigger(second="*", timezone=zone) if when == "every" else CronTrigger.from_crontab(when, zone)


def main() -> None:
    """Without a limit for late starts. Jobs that a database remembers are not added again: that would move them."""
    logging.basicConfig(level=logging.INFO)
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    if len(sys.argv) > 2:
        scheduler.add_jobstore("sqlalchemy", url=sys.argv[2])
    scheduler.start(paused=True)
    for name, command, when, timeout, zone in json.loads(Path(sys.argv[1]).read_text()):
        if scheduler.get_job(name) is None:
            scheduler.add_job(run, trigger(when, zone), args=(command, timeout), id=name)
    scheduler.resume()
    scheduler._thread.join()


if __name__ == "__main__":
    main()
