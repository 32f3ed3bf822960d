"""A forked child process has no scheduler."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.waiting import PATIENCE

BEGIN = """
import multiprocessing, os, sys, time, warnings
import gcron

# From Python 3.12 on, a fork beside threads is warned of: it is what is tested.
warnings.simplefilter("ignore", DeprecationWarning)
me = os.getpid()
in_child = lambda: os.getpid() != me
"""


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + text], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_nothing_fires_in_a_forked_child_and_its_calls_say_why() -> None:
    """After `start()` and `os.fork()`, jobs fired in the parent and in the child."""
    done = run_program("""
scheduler = gcron.Scheduler()
fired = []
scheduler.job("@every 1s", name="tick", greenlet=True)(lambda: fired.append(1))
scheduler.on("*", lambda event: in_child() and print("observer in child", flush=True))
scheduler.start()
with scheduler:
    while not fired:
        gcron.sleep(0.01)
    fired.clear()
    if os.fork() == 0:
        gcron.sleep(1.2)
        for call in (lambda: scheduler.trigger("tick"), scheduler.start, scheduler.run, scheduler.stop):
            try:
                call()
            except RuntimeError as error:
                assert str(me) in str(error)
            else:
                print("no error", flush=True)
        print("child", fired, flush=True)
    else:
        os.wait()
""")
    assert (done.returncode, done.stdout) == (0, "child []\n"), done.stderr


def test_a_timeout_of_the_parent_does_not_act_in_the_child() -> None:
    """The child had the timers and the jobs of its parent, so jobs ended there a second time."""
    done = run_program("""
scheduler = gcron.Scheduler(logger=None, watchdog=None)

@scheduler.job("@manual", timeout=0.3, greenlet=True)
def job():
    try:
        gcron.sleep(1000)
    finally:
        print("ends in the child" if in_child() else "ends", flush=True)

scheduler.start()
run = scheduler.trigger("job")
while run.state != "running":
    gcron.sleep(0.01)
child = os.fork()
if child == 0:
    gcron.sleep(0.6)
    try:
        run.stop()
    except RuntimeError as error:
        print(str(me) in str(error), flush=True)
    os._exit(0)
os.waitpid(child, 0)  # the parent's loop does not turn meanwhile
scheduler.stop()
""")
    assert (done.returncode, done.stdout) == (0, "True\nends\n"), done.stderr


@pytest.mark.parametrize("greenlet", [False, True])
@pytest.mark.parametrize(("end", "status"), [("return", 0), ("sys.exit(7)", 7), ("raise ValueError('no')", 1)])
def test_a_job_that_forks_and_returns_ends_the_child(greenlet: bool, end: str, status: int) -> None:
    """In the child of a greenlet job the scheduler went on. The child of a job in a thread hung for ever."""
    done = run_program(f"""
scheduler = gcron.Scheduler(logger=None)
scheduler.on("run-finished", lambda event: print(event.job, event.result.outcome, event.result.value, flush=True))

@scheduler.job("@manual", greenlet={greenlet})
def fork():
    pid = os.fork()
    if pid == 0:
        print("in the child")
        {end}
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

scheduler.start()
scheduler.trigger("fork").result.get(timeout=60)
scheduler.stop()
""")
    assert (done.returncode, done.stdout) == (0, f"in the child\nfork succeeded {status}\n"), done.stderr


@pytest.mark.parametrize("greenlet", [False, True])
def test_multiprocessing_works_inside_jobs(greenlet: bool) -> None:
    done = run_program(f"""
scheduler = gcron.Scheduler(logger=None, watchdog=None)

def square(number):
    return number * number

@scheduler.job("@manual", greenlet={greenlet})
def work():
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        return pool.map(square, range(4))

scheduler.start()
print(scheduler.trigger("work").result.get(timeout=60).value)
scheduler.stop()
""")
    assert (done.returncode, done.stdout) == (0, "[0, 1, 4, 9]\n"), done.stderr


def test_an_observer_that_forks_and_returns_ends_the_child() -> None:
    done = run_program("""
scheduler = gcron.Scheduler()
scheduler.on("run-started", lambda event: os.fork() and os.wait())
scheduler.on("run-finished", lambda event: print("finished", flush=True))
scheduler.command("true", "@manual", name="job")
scheduler.start()
scheduler.trigger("job").result.get(timeout=60)
scheduler.stop()
""")
    assert (done.returncode, done.stdout) == (0, "finished\n"), done.stderr
