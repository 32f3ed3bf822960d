"""gcron as process 1 of a real PID namespace: no zombies, no lost signal, the right exit status (gcron_boot.py)."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.measuring import unmeasured
from tests.waiting import PATIENCE, takes, until

Run = Callable[..., Any]
Find = Callable[[str], list[int]]
UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")
SCRIPT = "import sys\nfrom gcron_boot import main\nsys.exit(main())\n"
DEAF = (
    f"{sys.executable} -c 'import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    ' os.write(1, b"deaf" + bytes([10])); time.sleep(%s)\''
)


def _why_not() -> str:
    if not sys.platform.startswith("linux"):
        return "PID namespaces are Linux's"
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare cannot be run: {error}"
    return "" if done.returncode == 0 else f"no PID namespace to be had: {done.stderr.strip()}"


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "never")


def init_of(unshare: int) -> psutil.Process:
    """Wait for process 1 of the namespace, and return it by its pid outside."""

    def find() -> psutil.Process | None:
        with suppress(psutil.Error):  # it may have ended meanwhile
            for child in psutil.Process(unshare).children():
                if child.cmdline()[:1] != ["unshare"]:  # the fork of unshare, before it executes gcron
                    return child
        return None

    found: psutil.Process = until(find, "process 1")
    return found


def scheduler_of(init: psutil.Process) -> psutil.Process:
    children: list[psutil.Process] = until(init.children, "the scheduler")
    return children[0]


def holds_signals(process: psutil.Process) -> bool:
    """Return True when the process keeps signals that come early."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)
    blocked = found is not None and bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)
    # During sigwait the kernel does not show a signal as blocked. By then the process has a child.
    return blocked or bool(process.children())


@pytest.fixture
def as_init(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Run a Python program as process 1; return the process to wait for."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *arguments: str, **popen: Any) -> subprocess.Popen[bytes]:
        script = tmp_path / "gcron"
        script.write_text(program)
        process = subprocess.Popen([*UNSHARE, sys.executable, str(script), *arguments], **popen)
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
        process.kill()
        process.wait()


# -- the exit status --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("return 0", 0),
        ("return 1", 1),
        ("return 3", 3),
        ("return 255", 255),
        ("raise SystemExit(2)", 2),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139),
    ],
)
def test_process_1_exits_with_the_status_of_the_scheduler(as_init: Run, end: str, status: int) -> None:
    process = as_init(
        "import os, signal, sys, types\n"
        f"def command():\n    assert os.getpid() == 2\n    {end}\n"
        "sys.modules['gcron.cli.main'] = types.SimpleNamespace(main=command)\n" + SCRIPT
    )
    assert process.wait(PATIENCE) == status


def test_process_1_exits_with_the_status_of_a_real_run(gcron_run: Run, unique: str) -> None:
    daemon = gcron_run("@daily true\n", before=UNSHARE)
    daemon.wait_for("Ctrl-C stops")
    init_of(daemon.process.pid).send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    daemon = gcron_run(f"@reboot sleep {unique}\n", before=UNSHARE)
    daemon.wait_for("started")
    init_of(daemon.process.pid).send_signal(signal.SIGQUIT)
    assert daemon.wait() == 3
    daemon = gcron_run("61 * * * * true\n", before=UNSHARE)
    assert daemon.wait() == 1


def test_a_scheduler_that_is_killed_gives_exit_status_137(gcron_run: Run) -> None:
    daemon = gcron_run("@reboot kill -KILL $PPID\n", before=UNSHARE)
    assert daemon.wait() == 137


# -- orphans ----------------------------------------------------------------------------------------------------


def test_orphans_do_not_become_zombies(gcron_run: Run, unique: str) -> None:
    daemon = gcron_run(
        f"# gcron: name=parent\n@reboot for i in $(seq 50); do (setsid sleep {unique} >/dev/null 2>&1 &); done\n",
        before=UNSHARE,
    )
    daemon.wait_for("parent +succeeded")
    init = init_of(daemon.process.pid)
    scheduler = scheduler_of(init)
    orphans = [child for child in init.children() if child.pid != scheduler.pid]
    assert len(orphans) == 50
    for orphan in orphans:
        orphan.kill()
    until(lambda: [child.pid for child in init.children()] == [scheduler.pid], "the end of all orphans")
    assert [child for child in init.children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE] == []
    init.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_process_1_does_not_collect_the_children_of_the_scheduler(gcron_run: Run) -> None:
    """Process 1 collects its own children, orphans among them, but not the children of the scheduler."""
    daemon = gcron_run("@reboot (setsid sh -c 'exit 9' &); exit 5\n", before=UNSHARE)
    daemon.wait_for("exit status 5")
    init_of(daemon.process.pid).send_signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_the_kernel_ends_all_processes_after_process_1(gcron_run: Run, marked_processes: Find, unique: str) -> None:
    daemon = gcron_run(f"@reboot sleep {unique}\n", before=UNSHARE)
    daemon.wait_for("started")
    init = init_of(daemon.process.pid)
    scheduler = scheduler_of(init)
    init.kill()
    until(lambda: not scheduler.is_running(), "the end of the scheduler")
    until(lambda: not marked_processes(f"sleep {unique}"), "the end of the job")


# -- signals ----------------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.1, 0.2, 0.3])
def test_term_during_the_start_ends_gcron(as_init: Run, tmp_path: Path, delay: float) -> None:
    """From the moment that process 1 keeps signals, at any point of the start."""
    crontab = tmp_path / "crontab"
    crontab.write_text("@daily true\n")
    process = as_init(SCRIPT, "run", str(crontab), stdout=subprocess.DEVNULL)
    init = init_of(process.pid)
    until(lambda: holds_signals(init), "process 1 to hold its signals")
    time.sleep(delay)
    with takes(at_most=5):
        init.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.realtime
@pytest.mark.skipif(
    subprocess.run(["chrt", "-f", "10", "true"], capture_output=True).returncode != 0 if shutil.which("chrt") else True,
    reason="without real-time priority, the machine decides what process 1 has done after 20 ms",
)
def test_process_1_keeps_a_term_that_comes_20_ms_after_its_start(tmp_path: Path) -> None:
    """TERM was lost up to 38 ms after exec: `enum` and `re` were loaded before signals were held back.

    Bare Python needs 10 ms to its first statement here, and no signal is held before that.
    """
    crontab = tmp_path / "crontab"
    crontab.write_text("@daily true\n")
    gcron = str(Path(sys.executable).with_name("gcron"))
    for _ in range(10):
        process = subprocess.Popen(
            ["chrt", "-f", "10", *UNSHARE, gcron, "run", str(crontab)], stdout=subprocess.DEVNULL, env=unmeasured()
        )
        try:
            init = _at_exec(process.pid)
            time.sleep(0.02)
            os.kill(init, signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()


def _at_exec(unshare: int) -> int:
    """Wait until process 1 executes its program, without a pause; return its pid outside."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        if children and not Path(f"/proc/{children[0]}/cmdline").read_bytes().startswith(UNSHARE[0].encode()):
            return int(children[0])
    raise AssertionError("process 1 did not start")


@pytest.mark.parametrize("command", [[str(Path(sys.executable).with_name("gcron"))], ["-m", "gcron"]])
def test_nothing_slow_is_loaded_before_signals_are_held(tmp_path: Path, command: list[str]) -> None:
    """`signal` loads enum, and `typing` loads re: TERM was lost up to 38 ms after the start of process 1."""
    (tmp_path / "sitecustomize.py").write_text(
        "import _signal, os, sys\n"
        "def mask(how, signals):\n"
        "    os.write(1, ' '.join(sys.modules).encode())\n"
        "    os._exit(len({'enum', 're', 'signal', 'typing'} & set(sys.modules)))\n"
        "_signal.pthread_sigmask = mask\n"
    )
    done = subprocess.run(
        [sys.executable, *command, "run"],
        env=unmeasured() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"_signal" in done.stdout


def test_hup_and_usr1_during_the_start_are_answered_after_it(as_init: Run, tmp_path: Path) -> None:
    crontab, log = tmp_path / "crontab", tmp_path / "log"
    crontab.write_text("@daily true\n")
    with log.open("wb") as out:
        process = as_init(SCRIPT, "run", str(crontab), stdout=out)
        init = init_of(process.pid)
    until(lambda: holds_signals(init), "process 1 to hold its signals")
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        init.send_signal(signum)
    until(lambda: "SIGHUP: read again" in log.read_text(), "the reload")
    until(lambda: "status: 1 job, 0 running" in log.read_text(), "the status")
    init.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_hup_usr1_and_usr2_are_passed_on(gcron_run: Run) -> None:
    daemon = gcron_run("@daily true\n", before=UNSHARE)
    daemon.wait_for("Ctrl-C stops")
    init = init_of(daemon.process.pid)
    init.send_signal(signal.SIGUSR1)
    daemon.wait_for("status: 1 job, 0 running")
    init.send_signal(signal.SIGHUP)
    daemon.wait_for("SIGHUP: read again")
    init.send_signal(signal.SIGUSR2)
    daemon.wait_for("SIGUSR2: read again")
    init.send_signal(signal.SIGINT)
    assert daemon.wait() == 0


def test_a_second_signal_kills_at_once(gcron_run: Run, unique: str) -> None:
    deaf = DEAF % unique
    daemon = gcron_run(f"# gcron: kill-after=1h name=deaf\n@reboot exec {deaf}\n", "--grace", "1h", before=UNSHARE)
    daemon.wait_for(r"\| deaf")
    init = init_of(daemon.process.pid)
    init.send_signal(signal.SIGTERM)
    daemon.wait_for("SIGTERM: stopping")
    init.send_signal(signal.SIGINT)
    assert daemon.wait() == 3
    assert "SIGINT: killing deaf" in daemon.log


def test_process_1_loads_no_runtime_and_has_one_thread(as_init: Run, tmp_path: Path) -> None:
    crontab, log = tmp_path / "crontab", tmp_path / "log"
    crontab.write_text("@daily true\n")
    with log.open("wb") as out:
        process = as_init(SCRIPT, "run", str(crontab), stdout=out, env=unmeasured())
        init = init_of(process.pid)
    until(lambda: "Ctrl-C stops" in log.read_text(), "the start")
    scheduler = scheduler_of(init)
    assert "greenlet" in Path(f"/proc/{scheduler.pid}/maps").read_text()
    assert "greenlet" not in Path(f"/proc/{init.pid}/maps").read_text()
    assert init.num_threads() == 1
    init.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


# -- the terminal -----------------------------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal with a command in its session."""

    def __init__(self, command: list[str]) -> None:
        self.shown = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 65536).decode(errors="replace")

    def wait(self) -> int:
        _, status = until(lambda: _ended(self.pid), "the end of the session")
        return os.waitstatus_to_exitcode(status)


def _ended(pid: int) -> tuple[int, int] | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return (found, status) if found else None


def test_keys_of_a_terminal_arrive_once_and_do_not_stop_the_scheduler(tmp_path: Path, unique: str) -> None:
    """With both processes in the foreground of the terminal, each Ctrl-C would arrive twice, and the second kills."""
    crontab = tmp_path / "crontab"
    crontab.write_text(f"# gcron: name=long\n@reboot sleep {unique}\n")
    terminal = Terminal([*UNSHARE, sys.executable, "-m", "gcron", "run", "--grace", "1h", str(crontab)])
    try:
        terminal.wait_for("started")
        init = init_of(terminal.pid)
        assert os.getpgid(scheduler_of(init).pid) != os.getpgid(init.pid)
        terminal.press(b"\x1a")
        init.send_signal(signal.SIGUSR1)
        terminal.wait_for("status: 1 job, 1 running")
        terminal.press(b"\x03")
        terminal.wait_for("SIGINT: stopping, waiting up to 3600 s for long")
        init.send_signal(signal.SIGUSR1)
        terminal.wait_for("status: 1 job, 1 running")
        assert "killing" not in terminal.shown
        time.sleep(0.1)  # faster than that presses nobody
        terminal.press(b"\x03")
        terminal.wait_for("SIGINT: killing long")
        assert terminal.wait() == 3
    finally:
        with suppress(psutil.Error, IndexError):
            psutil.Process(terminal.pid).children()[0].kill()
        os.close(terminal.master)


# -- the grace ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "grace"), [((), 8), (("--grace", "40"), 40)])
def test_process_1_has_a_grace_that_fits_into_a_stop_of_docker(
    gcron_run: Run, unique: str, options: tuple[str, ...], grace: int
) -> None:
    """`docker stop` killed the container after 10 s, in the middle of a grace of 30 s, and all jobs with it."""
    daemon = gcron_run(f"# gcron: name=long\n@reboot sleep {unique}\n", *options, before=UNSHARE)
    daemon.wait_for("started")
    init = init_of(daemon.process.pid)
    init.send_signal(signal.SIGTERM)
    daemon.wait_for(f"SIGTERM: stopping, waiting up to {grace} s for long")
    assert ("as process 1, jobs have 8 s to finish at a stop (--grace)" in daemon.log) == (not options)
    init.send_signal(signal.SIGINT)
    assert daemon.wait() == 3
