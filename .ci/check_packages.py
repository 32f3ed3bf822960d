#!/usr/bin/env python3
"""Check what users install: the wheel and the sdist, alone, and with the oldest dependencies and the newest.

Needs Python's own venv and pip, and a package index. `TMPDIR` says where the environments are made.
"""

from __future__ import annotations

import filecmp
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import venv
import zipfile
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What a wheel has beside the modules, and what it must not have. Tests, docs and examples are the sdist's.
IN_WHEEL = {
    "gcron_boot.py",
    "gcron/py.typed",
    "gcron/__init__.py",
    "gcron/cli/pages/crontab.md",
    "gcron/state/postgres/step_1_tables.sql",
}
IN_SDIST = {
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "crontab.example",
    "docs/crontab.md",
    "examples/container/Dockerfile",
    "gcron/py.typed",
    "gcron_boot.py",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/cli/test_help.py",
}
# With the oldest dependencies, and with the newest: what meets each of them, and takes about a minute.
DEPENDENCY_TESTS = {
    "croniter, tzdata": ["tests/schedule", "tests/crontab"],
    "greenlet": ["tests/runtime"],
    "httptools": ["tests/wsgi/test_corpus.py"],
    "inotify_simple": ["tests/daemon/test_watching.py"],
    "psutil": ["tests/supervise/test_stopping.py"],
    "rich": ["tests/cli/test_help.py", "tests/cli/test_explain_and_next.py", "tests/cli/test_timeline.py"],
    "shtab": ["tests/cli/test_completion.py"],
    "textual, and rich's live display": ["tests/cli/test_top.py", "tests/cli/test_top_screen.py"],
}

WITHOUT_BOUND = {"tzdata"}

# A user's program: what is public has types, and they are the right ones.
USERS_PROGRAM = """\
from gcron import Greenlet, Job, Scheduler, cron, joinall, spawn
from gcron.pool import Pool
from gcron.queue import Queue
from gcron.scheduler import RunFinished
from gcron.subprocess import PIPE, Popen


class Worker(Greenlet):
    def __init__(self, numbers: Queue[int]) -> None:
        super().__init__()
        self.numbers = numbers

    def _run(self) -> int:
        return self.numbers.get(timeout=1)


def report(event: RunFinished) -> None:
    print(event.job, event.result.outcome)


def double(number: int) -> int:
    return 2 * number


numbers: Queue[int] = Queue(maxsize=2)
joinall([Worker(numbers), spawn(numbers.put, 21)], timeout=1)
doubled = Pool(2).map(double, [1, 2])
process = Popen(["true"], stdout=PIPE)
scheduler = Scheduler()
scheduler.on("run-finished", report)
job: Job = scheduler.command("true", cron("30 2 * * *"), name="backup", timeout=60)


@scheduler.job("@every 1h")
def refresh() -> int:
    return 42


reveal_type(scheduler.next_due())
"""
# The program itself, and what is of use only beside pytest.
NOT_IMPORTED = {"gcron.__main__", "gcron.testing.pytest_plugin"}
IMPORT_ALL = f"""\
import gcron, importlib, pkgutil
names = {{module.name for module in pkgutil.walk_packages(gcron.__path__, "gcron.")}} - {NOT_IMPORTED}
names = {{name for name in names if not name.startswith(("gcron.cli.tui.", "gcron.state.postgres."))}}  # of extras
for module in [gcron, *map(importlib.import_module, sorted(names))]:
    for name in getattr(module, "__all__", ()):
        getattr(module, name)
"""


def main() -> None:
    """Do all of it; the first thing that is wrong ends it with status 1."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        step("packages: build")
        tools = new_environment(work / "tools")
        call(tools / "pip", "install", "--quiet", "build", "mypy", "twine")
        wheel, sdist = build(tools, work)
        step("packages: contents")
        call(tools / "twine", "check", "--strict", wheel, sdist)
        check_wheel(wheel)
        tests = unpack_without_package(sdist, work)
        step("packages: the wheel alone")
        bare = new_environment(work / "bare")
        call(bare / "pip", "install", "--quiet", wheel)
        use(bare, work)
        step("packages: types")
        check_types(tools, bare, work)
        check_bounds()
        for age, requirements in (("oldest", oldest_requirements()), ("newest", newest_requirements())):
            step(f"packages: the {age} dependencies")
            check_with(requirements, wheel, tests, work / age)


def check_with(requirements: list[str], wheel: Path, tests: Path, place: Path) -> None:
    """The wheel with these dependencies passes the tests that meet them."""
    programs = new_environment(place)
    call(programs / "pip", "install", "--quiet", "--upgrade", *requirements)
    call(programs / "pip", "install", "--quiet", "--no-deps", wheel)
    call(programs / "pip", "list")
    use(programs, place.parent)
    pytest = ["-m", "pytest", "-p", "no:cacheprovider", *chain(*DEPENDENCY_TESTS.values())]
    call(programs / "python", *pytest, directory=tests)


def step(title: str) -> None:
    """Say what comes now."""
    print(f"\n== {title}", flush=True)


def call(program: Path, *arguments: str | Path, directory: Path = ROOT) -> None:
    """Run a program; a status that is not 0 ends the script."""
    done = subprocess.run([program, *arguments], cwd=directory, stdin=subprocess.DEVNULL)
    require(done.returncode == 0, f"{program.name} ended with status {done.returncode}")


def require(holds: bool, otherwise: str) -> None:
    """End the script with the words `otherwise` when something does not hold."""
    if not holds:
        sys.exit(f"check_packages: {otherwise}")


def new_environment(path: Path) -> Path:
    """Make a virtual environment; returns the directory of its programs."""
    venv.create(path, with_pip=True, symlinks=True)
    return path / "bin"


def newest_requirements() -> list[str]:
    """What is needed to run and to test, as pyproject.toml has it: pip takes the newest version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def oldest_requirements() -> list[str]:
    """The same, each in the oldest version that pyproject.toml allows."""
    return [re.sub(r">=([\w.]+)(,<[\w.]+)?", r"==\1", requirement) for requirement in newest_requirements()]


def check_bounds() -> None:
    """Each dependency ends before a next major version, except for data whose versions are dates."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    unbounded = [name for name in project["dependencies"] if "<" not in name and name not in WITHOUT_BOUND]
    require(not unbounded, f"no upper bound: {unbounded}")


def build(tools: Path, work: Path) -> tuple[Path, Path]:
    """Build the sdist, and from it the wheel; the tree itself must give the same wheel, byte for byte."""
    call(tools / "python", "-m", "build", "--outdir", work / "dist")
    call(tools / "python", "-m", "build", "--wheel", "--outdir", work / "direct")
    (wheel,) = (work / "dist").glob("*.whl")
    (sdist,) = (work / "dist").glob("*.tar.gz")
    require(filecmp.cmp(wheel, work / "direct" / wheel.name, shallow=False), "the sdist builds another wheel")
    return wheel, sdist


def check_wheel(wheel: Path) -> None:
    """The package, its types, its licence and its pages are in; and nothing else."""
    names = set(zipfile.ZipFile(wheel).namelist())
    require(names >= IN_WHEEL, f"not in the wheel: {sorted(IN_WHEEL - names)}")
    require(any(name.endswith("/licenses/LICENSE") for name in names), "the wheel has no licence")
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("gcron/**/*.py")}
    require(names >= modules, f"not in the wheel: {sorted(modules - names)}")
    package = "-".join(wheel.name.split("-")[:2])
    allowed = ("gcron/", "gcron_boot.py", f"{package}.dist-info/", f"{package}.data/scripts/gcron")
    strangers = sorted(name for name in names if not name.startswith(allowed) or "__pycache__" in name)
    require(not strangers, f"the wheel has files that do not belong there: {strangers}")


def unpack_without_package(sdist: Path, work: Path) -> Path:
    """Unpack the sdist, and take the package away: its tests are then those of the installed one."""
    (work / "sdist").mkdir()
    call(Path("tar"), "-xzf", sdist, "-C", work / "sdist")
    (root,) = (work / "sdist").iterdir()
    missing = sorted(name for name in IN_SDIST if not (root / name).is_file())
    require(not missing, f"not in the sdist: {missing}")
    (root / "gcron").rename(work / "package-of-the-sdist")
    (root / "gcron_boot.py").unlink()
    return root


def use(programs: Path, work: Path) -> None:
    """What somebody does first with what is installed, in an environment and a directory without the sources."""
    gcron = programs / "gcron"
    for arguments in (["--help"], ["--version"], ["help"], ["help", "crontab"], ["check", ROOT / "crontab.example"]):
        started = time.monotonic()
        done = subprocess.run([gcron, *arguments], cwd=work, capture_output=True, text=True)
        require(done.returncode == 0, f"gcron {arguments}: {done.stderr}")
        print(f"gcron {' '.join(map(str, arguments))}: {time.monotonic() - started:.2f} s")
    call(programs / "python", "-c", IMPORT_ALL, directory=work)
    run_and_stop(gcron, work)


def run_and_stop(gcron: Path, work: Path) -> None:
    """`gcron run` until a job has said something, then TERM: it ends well, and by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GCRON_")}
    command = [gcron, "run", ROOT / "crontab.example"]
    lines = []
    with subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        give_up = threading.Timer(20, process.kill)
        give_up.start()
        for line in process.stdout:
            lines.append(line)
            if "still here" in line:
                process.terminate()
        give_up.cancel()
    print("".join(lines[-3:]), end="")
    require(process.returncode == 0, f"gcron run ended with status {process.returncode}")
    require(any("still here" in line for line in lines), "no job of crontab.example has run")
    require("stopped" in lines[-1], "gcron run did not say that it has stopped")


def check_types(tools: Path, programs: Path, work: Path) -> None:
    """A user's program under `mypy --strict`, with what the wheel brings and nothing more."""
    program = work / "program.py"
    program.write_text(USERS_PROGRAM)
    mypy = [tools / "mypy", "--strict", "--no-incremental", "--python-executable", programs / "python", program]
    done = subprocess.run(mypy, cwd=work, capture_output=True, text=True)
    print(done.stdout, end="")
    require(done.returncode == 0, "a user's program is not clean under mypy --strict")
    require("datetime.datetime | None" in done.stdout, "a user's program has lost its types")


if __name__ == "__main__":
    main()
