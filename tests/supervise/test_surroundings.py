"""What a job finds when it starts: session, descriptors, signals, variables, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from gcron.supervise.command import Command
from gcron.supervise.outcome import Outcome, RunResult

Perform = Callable[..., RunResult]


def test_a_job_leads_a_session_of_its_own(perform: Perform, listening: Any) -> None:
    script = f"exec {sys.executable} -c 'import os; print(os.getpid(), os.getsid(0), os.getpgid(0))'"
    perform(script)
    pid, session, group = map(int, listening.out[0].split())
    assert pid == session == group == listening.pid
    assert session != os.getsid(0)


def test_a_job_sees_exactly_three_descriptors(perform: Perform, listening: Any) -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        # The shell's own glob needs a descriptor, so it is asked of another process's directory.
        perform(Command("(ls /proc/$PPID/fd) & wait; ls /proc/$$/fd", stdin=b"text"))
    finally:
        os.close(leaked)
    assert listening.out[-3:] == [b"0", b"1", b"2"]
    listening.out.clear()
    perform("ls /proc/$$/fd")
    assert listening.out == [b"0", b"1", b"2"]


def test_standard_input_is_empty_or_the_text_of_the_entry(perform: Perform, listening: Any) -> None:
    perform("readlink /proc/$$/fd/0; cat")
    assert listening.out == [b"/dev/null"]
    listening.out.clear()
    perform(Command("cat; echo end", stdin=b"one\ntwo \xff\nno newline"))
    assert listening.out == [b"one", b"two \xff", b"no newlineend"]


def test_a_job_that_does_not_read_its_input_is_not_kept(perform: Perform) -> None:
    assert perform(Command("true", stdin=b"x" * 10_000_000)).outcome is Outcome.SUCCEEDED


def test_the_variables_say_which_run_it_is_and_hide_gcrons_own(
    perform: Perform, listening: Any, run_id: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("GCRON_SECRET", "hunter2")
    monkeypatch.setenv("INHERITED", "yes")
    perform(Command("env", environment={"FROM_CRONTAB": "caf\udce9"}))
    variables = dict(line.split(b"=", 1) for line in listening.out if b"=" in line)
    assert variables[b"GCRON_RUN_ID"] == run_id.encode()
    assert variables[b"GCRON_JOB"] == b"test"
    assert variables[b"INHERITED"] == b"yes"
    assert variables[b"FROM_CRONTAB"] == b"caf\xe9"
    assert b"GCRON_SECRET" not in variables


def test_no_descriptor_and_no_process_is_left_of_many_runs(perform: Perform) -> None:
    perform("true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        perform(Command("echo out; echo err >&2", stdin=b"x"))
    assert len(os.listdir("/proc/self/fd")) <= before
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        assert children.read() == ""
