"""A program that uses hubs can end or fork at any time, whatever its other threads are doing."""

from __future__ import annotations

import subprocess
import sys

# The write takes so long that Python stops the thread during it, for ever.
STOPPED_IN_THE_MIDDLE = """
import os, threading, time
import gcron

waking = threading.Event()

def use_a_hub():
    hub = gcron.get_hub()
    wake_fd = hub.io.wake_fd
    write = os.write

    def slow_write(fd, data):
        if fd == wake_fd:
            waking.set()
            time.sleep(1000)
        return write(fd, data)

    os.write = slow_write
    hub.io.wake()

threading.Thread(target=use_a_hub, daemon=True).start()
waking.wait()
print("ended", flush=True)
"""


def test_python_exits_when_a_daemon_thread_was_stopped_while_waking_a_hub() -> None:
    """Regression: freeing the thread's locals closed the hub, which needed a lock that the stopped thread held."""
    done = subprocess.run([sys.executable, "-c", STOPPED_IN_THE_MIDDLE], capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ended\n", b"")


# The fork happens while the other thread holds the lock around the wake-up descriptor.
FORKED_IN_THE_MIDDLE = """
import os, threading
import gcron

opening, forked = threading.Event(), threading.Event()

def use_a_hub():
    io = gcron.get_hub().io
    pipe = os.pipe

    def slow_pipe():
        opening.set()
        forked.wait()
        return pipe()

    os.pipe = slow_pipe
    with io._wake_lock:
        io.open()

thread = threading.Thread(target=use_a_hub)
thread.start()
opening.wait()
child = os.fork()
if child == 0:
    print("child", flush=True)
    os._exit(0)
os.waitpid(child, 0)
forked.set()
thread.join()
print("parent", flush=True)
"""


def test_a_forked_child_does_not_close_hubs_of_other_threads() -> None:
    """Regression: Python frees the locals of all other threads in the child. Their hubs were closed then: once in
    some hundred forks an "Exception ignored … Bad file descriptor", and a hang if the thread held the lock."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED_IN_THE_MIDDLE]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"child\nparent\n", b"")
