"""A program that remembers its jobs over restarts. Here it starts twice, and the first time it is killed.

Prints:
    start 1: the last backup was None
    start 2: the last backup was succeeded
    export: lost: the program ended before the function did
    backup: succeeded
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

from gcron import Scheduler

if len(sys.argv) == 1:
    with tempfile.TemporaryDirectory() as directory:
        for start in ("1", "2"):
            subprocess.run([sys.executable, __file__, start, os.path.join(directory, "state")], check=False)
    sys.exit()

start, directory = sys.argv[1:]
scheduler = Scheduler(state=directory, logger=None)
scheduler.command("echo copied", "30 2 * * *", name="backup", catchup="last")


@scheduler.job("@manual")
def export() -> None:
    time.sleep(60)


scheduler.start_thread()
last = scheduler.last_run("backup")
print(f"start {start}: the last backup was {last and last.outcome}", flush=True)

if start == "1":
    scheduler.trigger("backup").result.get(timeout=10)
    scheduler.trigger("export")
    assert len(scheduler.history()) == 2  # both are on disk
    os.kill(os.getpid(), signal.SIGKILL)

for run in scheduler.history(limit=10):
    print(f"{run.job}: {run.outcome}" + (f": {run.reason}" if run.reason else ""))
scheduler.stop(grace=5)
