"""A crontab run by APScheduler: what a program that uses it as its cron would look like. For `daemon.py`."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger


def main() -> None:
    """Read the file and run its jobs until a signal ends the process."""
    # Without a limit for late starts: it would drop most of a burst, which is not what is measured.
    scheduler = BlockingScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None})
    for line in Path(sys.argv[1]).read_text().splitlines():
        if line.startswith("@reboot"):
            trigger = DateTrigger(datetime.now(UTC))
            command = line.removeprefix("@reboot").strip()
        else:
            *fields, command = line.split(None, 5)
            trigger = CronTrigger.from_crontab(" ".join(fields), "UTC")
        command = command.replace("\\%", "%")
        scheduler.add_job(subprocess.run, trigger, args=(command,), kwargs={"shell": True})
    scheduler.start()


if __name__ == "__main__":
    main()
