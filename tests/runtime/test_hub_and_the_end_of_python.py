"""A program that uses hubs ends, whatever its other threads are doing just then."""

from __future__ import annotations

import subprocess
import sys

# The write takes so long that Python stops the thread in the middle of it, for good.
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


def test_python_ends_although_a_daemon_thread_was_stopped_while_it_woke_a_hub() -> None:
    """Regression: the hub was closed with its thread's locals, under a lock that the stopped thread held for ever."""
    done = subprocess.run([sys.executable, "-c", STOPPED_IN_THE_MIDDLE], capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ended\n", b"")
