"""A program that ends while things are still pending prints nothing about them.

Python clears the modules of a program in an order of its own: `import asyncio` alone was enough for a `Popen` at the
end of a script to say "Exception ignored in Child.__del__", for the names that its finalizer used were gone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PENDING = {
    "a child": "k = Popen(['sleep', '0.2'])",
    "a child that is waited for": "k = Popen(['sleep', '0.2']); g = gcron.spawn(k.wait); gcron.sleep(0)",
    "a child without pidfd": "del os.pidfd_open; k = Popen(['sleep', '0.2']); g = gcron.spawn(k.wait); gcron.sleep(0)",
    "a child with a link": "k = Popen(['sleep', '0.2']); k.rawlink(print)",
    "pipes": "k = Popen(['cat'], stdin=PIPE, stdout=PIPE, stderr=PIPE); k.stdin.write(b'x')",
    "pipes of text": "k = Popen(['cat'], stdin=PIPE, stdout=PIPE, text=True); k.stdin.write('x')",
    "a read": "k = Popen(['cat'], stdin=PIPE, stdout=PIPE); g = gcron.spawn(k.stdout.read); gcron.sleep(0)",
    "idle threads": "k = ThreadPool(2); k.spawn(int).get()",
    "a busy thread": "k = ThreadPool(2); k.spawn(time.sleep, 5); gcron.sleep(0.001)",
    "a loop in a thread": "k = threading.Thread(target=gcron.sleep, args=(5,), daemon=True); k.start(); k.join(0.01)",
    "sockets": "k = socket.socketpair(); g = gcron.spawn(k[0].recv, 1); gcron.sleep(0); f = k[1].makefile('wb')",
    "greenlets": "k = Event(); g = gcron.spawn(k.wait); f = gcron.spawn(gcron.sleep, 5); gcron.sleep(0)",
    "a pool": "k = Pool(2); g = k.imap(gcron.sleep, range(5)); next(g)",
    "a wait for several": "k = gcron.iwait([Event(), gcron.spawn(int)]); next(k)",
    "timers": "k = gcron.get_hub().call_later(5, print); g = gcron.Timeout.start_new(5)",
    "a signal handler": "k = gcron.signal_handler(signal.SIGUSR1, print)",
    "a server": "k = WSGIServer(('127.0.0.1', 0), print); k.start(); gcron.sleep(0)",
}
IMPORTS = """
import os, signal, sys, threading, time
import gcron
from gcron import socket
from gcron.event import Event
from gcron.pool import Pool
from gcron.subprocess import PIPE, Popen
from gcron.threadpool import ThreadPool
from gcron.wsgi import WSGIServer
"""
# Who keeps the objects while modules are cleared: the program, `sys`, and a program whose modules are cleared late.
KEEPERS = {
    "globals": "",
    "sys": "\nsys.kept = [globals().pop(name) for name in 'kgf' if name in globals()]",
    "asyncio": "\nimport asyncio",
}


@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("pending", PENDING)
def test_a_program_with_pending_things_exits_silently(pending: str, keeper: str) -> None:
    program = IMPORTS + PENDING[pending] + KEEPERS[keeper]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unsent_data_arrives_at_exit(tmp_path: Path) -> None:
    """As for a file: what the pipe takes is written when its writer is freed, also at exit."""
    program = f"""
import asyncio
from gcron.subprocess import PIPE, Popen
one = Popen(["sh", "-c", "cat > {tmp_path}/text; echo >> {tmp_path}/done"], stdin=PIPE, text=True)
one.stdin.write("unsent")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    for _ in range(500):
        if (tmp_path / "done").exists():
            break
        subprocess.run(["sleep", "0.01"], check=True)
    assert (tmp_path / "text").read_text() == "unsent"
