"""The faults. Each function provokes one, and returns what it saw, in a few words.

A job that is due as often as the program can writes a stamp each time. Whether it goes on is seen from its stamps.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psutil
from programs import AT_START, Job, Place, Program

NONE = "-"
ZONE = "Europe/Berlin"
"""In these tests its clock changes in the next minutes, by 3 minutes: a zone file in the place has its name."""
# Seconds that a program gets to start, and to react.
START, REACT = 6, 10


def time_out(program: Program, place: Place) -> str:
    """A job that is to end after 2 s has processes in its group, and one in a session of its own."""
    job = Job("tree", "setsid sleep 1001 & sleep 1002 & sleep 1003; true", AT_START, timeout=2)
    program.write(place, [job], state=False)
    with program.running(place):
        wait_for(lambda: len(sleeps(place)) == 3)
        time.sleep(3)
        program.end_of_job(place, job)
        time.sleep(REACT)
        left = sleeps(place)
        return f"{len(left)} of 3 left" + (f": {', '.join(sorted(left))}" if left else "")


def background(program: Program, place: Place) -> str:
    """Each run leaves a process in the background, which keeps the output open for minutes."""
    if not program.schedules:
        return NONE
    program.write(place, [Job("behind", f"{place.stamp('behind')}; sleep 300 & echo started")], state=False)
    with program.running(place):
        wait_for(lambda: place.stamps("behind"))
        time.sleep(2 * program.period + REACT)
        runs = len(place.stamps("behind"))
    return "the next run starts" if runs > 1 else "no other run starts"


def orphans(program: Program, place: Place) -> str:
    """It is process 1, and a job leaves five processes in the background, which end soon."""
    command = f"for i in 1 2 3 4 5; do (sleep 1 >/dev/null 2>&1 &); done; {place.stamp('job')}"
    program.write(place, [Job("job", command, AT_START)], state=False)
    namespace = ["--map-root-user"] if os.geteuid() else []
    under = ["unshare", *namespace, "--pid", "--fork", "--kill-child", "--mount-proc"]
    with program.running(place, under=under) as unshare:
        wait_for(lambda: place.stamps("job"))
        time.sleep(5)
        inside = psutil.Process(unshare.pid).children(recursive=True)
        return f"{sum(process.status() == psutil.STATUS_ZOMBIE for process in inside)} of 5 stay as zombies"


def stalled_output(program: Program, place: Place) -> str:
    """Who reads stdout and stderr stops reading. Each run prints 1 KB."""
    tick = f"{place.stamp('tick')}; head -c 1000 /dev/zero | tr '\\0' x; echo"
    program.write(place, [Job("tick", tick)], state=False)
    ours, theirs = os.pipe()
    stalled = threading.Event()
    reader = threading.Thread(target=drain, args=(ours, stalled), daemon=True)
    reader.start()
    with program.running(place, stdout=theirs, stderr=theirs):
        wait_for(lambda: place.stamps("tick"))
        stalled.set()
        reader.join()  # it ends with what the next run prints
        fill(theirs)
        stall = time.time()
        time.sleep(max(3 * program.period, 40) + REACT)
        return goes_on(program, place, stall + 2)


def bad_reload(program: Program, place: Place) -> str:
    """A job with an error is appended to the file."""
    if not program.broken:
        return NONE
    program.write(place, [Job("tick", place.stamp("tick"))], state=False)
    with program.running(place) as process:
        wait_for(lambda: place.stamps("tick"))
        with program.file(place).open("a") as file:
            file.write(program.broken)
        program.reload(place)
        time.sleep(150)  # most look once a minute
        changed = time.time() - 2 * program.period - REACT
        named = "broken" if "61" not in program.broken else "61"
        log = (place.folder / "log").read_text(errors="replace")
        return (
            f"{goes_on(program, place, changed)}; the error is {'' if named in log else 'not '}in the log"
            if process.poll() is None
            else "it ends"
        )


def spring(program: Program, place: Place) -> str:
    """The clock goes forward over the time of a daily job."""
    return change(program, place, before=0, after=3, local=1)


def autumn(program: Program, place: Place) -> str:
    """The clock goes back over the time of a daily job, which so comes twice."""
    return change(program, place, before=5, after=2, local=4)


def change(program: Program, place: Place, *, before: int, after: int, local: int) -> str:
    """See the job of minute `local` after the change, in a zone whose offset changes; all in minutes."""
    if not program.schedules:
        return NONE
    moment = int(time.time() + 150) // 60 * 60
    if moment % 86400 < 600 or moment % 86400 > 85800:
        raise RuntimeError("not around midnight (UTC), where the date changes, too")
    until = f"{datetime.fromtimestamp(moment, UTC):%Y %b %d %H:%M}u"
    text = f"Zone {ZONE} 0:{before:02} - AAA {until}\n 0:{after:02} - BBB\n"
    subprocess.run(["zic", "-b", "fat", "-d", place.zones, "-"], input=text, text=True, check=True)
    due = datetime.fromtimestamp(moment + 60 * local, UTC)
    program.write(place, [Job("daily", place.stamp("daily"), f"{due:%M %H} * * *", zone=ZONE)], state=False)
    with program.running(place):
        time.sleep(moment + 240 - time.time())
    runs = [round((stamp - moment) // 60) for stamp in place.stamps("daily")]
    names = {0: "at the change", local - after: "in the second pass", local - before: "in the first pass"}
    if before < after:
        names[local - before] = "late, by as much as the clock changed"
    return " and ".join(names.get(run, f"{run} min after it") for run in runs) or "never"


def killed(program: Program, place: Place) -> str:
    """It gets KILL while a job runs, misses a fire of another that has run before, and is started again."""
    fire = int(time.time() + 140) // 60 * 60
    slow = Job("slow", f"{place.stamp('slow')}; exec sleep 600", "* * * * *")
    other = Job("other", place.stamp("other"), "* * * * *")
    jobs = [slow, other] if program.schedules else [Job(slow.name, slow.command, AT_START)]
    program.write(place, jobs, state=True)
    time.sleep(fire - 75 - time.time())
    first = program.start(place, state=True)
    try:
        time.sleep(fire - 8 - time.time())
        assert len(place.stamps("slow")) == 1
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    time.sleep(fire + 5 - time.time())
    with program.running(place, state=True):
        time.sleep(45)  # before the next minute
        made_up = any(stamp >= fire for stamp in place.stamps("other"))
        time.sleep(30)
        second = "a second copy beside the first" if len(place.stamps("slow")) > 1 else "no second copy"
    return f"{second}; the fire is {'made up' if made_up else 'lost'}" if program.schedules else second


def stop(program: Program, place: Place) -> str:
    """It gets TERM while a job runs that ignores TERM."""
    command = f"trap '' TERM; {place.stamp('job')}; while :; do sleep 1; done"
    program.write(place, [Job("job", command, AT_START)], state=False)
    with program.running(place) as process:
        wait_for(lambda: place.stamps("job"))
        begin = time.monotonic()
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            return "still there after 60 s"
        took = time.monotonic() - begin
        time.sleep(1)
        return f"ends after {took:.0f} s, {'its job goes on' if list(place.processes()) else 'with its job'}"


def disk_full(program: Program, place: Place) -> str:
    """The disk of its log and its state is full, five seconds after the start."""
    program.write(place, [Job("tick", f"{place.stamp('tick')}; echo tick")], state=True)
    script = f"""
        mount -t tmpfs -o size=2m none {place.data} && touch {place.data}/log || exit 99
        (sleep {START}; cat /dev/zero > {place.data}/fill; touch {place.folder}/filled) 2>/dev/null &
        exec "$@" >> {place.data}/log 2>&1
    """
    namespace = ["--map-root-user"] if os.geteuid() else []
    under = ["unshare", *namespace, "--mount", "sh", "-c", script, "sh"]
    with program.running(place, state=True, under=under, stdout=None):
        wait_for(lambda: (place.folder / "filled").exists())
        full = time.time()
        time.sleep(3 * program.period + REACT)
        return goes_on(program, place, full + 2)


FAULTS: dict[str, Callable[[Program, Place], str]] = {
    "time-out": time_out,
    "background": background,
    "orphans": orphans,
    "stalled-output": stalled_output,
    "bad-reload": bad_reload,
    "spring": spring,
    "autumn": autumn,
    "killed": killed,
    "stop": stop,
    "disk-full": disk_full,
}


# -- what they see ------------------------------------------------------------------------------------------


def goes_on(program: Program, place: Place, since: float) -> str:
    """Whether the job `tick` still runs as often as it should: at least half as often."""
    runs = sum(stamp >= since for stamp in place.stamps("tick"))
    expected = int((time.time() - since) / program.period)
    if runs >= expected / 2:
        return "jobs go on"
    return "jobs stop" if runs == 0 else f"jobs stop after {runs} runs"


def sleeps(place: Place) -> list[str]:
    """What is left of the job `tree`."""
    names = {"1001": "own session", "1002": "background", "1003": "foreground"}
    return [names[line[1]] for process in place.processes() if (line := safe(process.cmdline))[:1] == ["sleep"]]


def safe(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except psutil.Error:
        return []


def wait_for(happened: Callable[[], object], seconds: float = 130) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("what the fault needs did not happen")
        time.sleep(0.1)


def drain(descriptor: int, stalled: threading.Event) -> None:
    while not stalled.is_set():
        os.read(descriptor, 65536)


def fill(descriptor: int) -> None:
    """Fill the pipe, through a description of our own: its writers stay in blocking mode."""
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(own, b"x" * 4096)
    except BlockingIOError:
        os.close(own)
