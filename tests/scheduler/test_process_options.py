"""Options of processes, from directives and from Python."""

from __future__ import annotations

from typing import Any

import pytest

from gcron.crontab import parse
from gcron.scheduler import Job, Scheduler
from gcron.scheduler.job import job_of
from gcron.supervise.command import Command

OPTIONS = {
    "user": "daemon",
    "cwd": "/tmp",
    "umask": "027",
    "nice": 5,
    "env-file": "/etc/environment",
    "shell": "/bin/bash",
    "rlimit-as": "1G",
    "rlimit-core": 0,
    "rlimit-cpu": "unlimited",
    "rlimit-nofile": 100,
    "memory-max": "512M",
    "cpu-max": "150%",
    "tasks-max": 20,
}
COMMAND = Command(
    "true",
    shell="/bin/bash",
    cwd="/tmp",
    user="daemon",
    umask=0o027,
    nice=5,
    env_file="/etc/environment",
    limits=(("rlimit_as", 1 << 30), ("rlimit_core", 0), ("rlimit_cpu", -1), ("rlimit_nofile", 100)),
    cgroup_limits=(("memory_max", 512 << 20), ("cpu_max", 150), ("tasks_max", 20)),
)


def jobs_of(text: str, **how: Any) -> list[Job]:
    crontab = parse(text, "crontab", **how)
    assert not crontab.errors
    return [job_of(entry) for entry in crontab.entries]


def test_directives_and_python_options_make_the_same_command() -> None:
    words = " ".join(f"{name}={value}" for name, value in OPTIONS.items())
    from_crontab = jobs_of(f"# gcron: {words}\n@daily true\n")[0].action
    options = {name.replace("-", "_"): value for name, value in OPTIONS.items()}
    from_python = Scheduler().command("true", "@daily", **options).action
    assert from_crontab == COMMAND
    assert from_python == COMMAND
    assert Scheduler().command("true", "@daily").action == Command("true")


def test_a_user_directive_overrides_the_user_column() -> None:
    jobs = jobs_of("@daily root a\n# gcron: user=daemon\n@daily root b\n@hourly 1 c\n", system=True)
    users = [(job.action.user, job.action.text) for job in jobs if isinstance(job.action, Command)]
    assert users == [("root", "a"), ("daemon", "b"), ("1", "c")]


@pytest.mark.parametrize(("name", "value"), OPTIONS.items())
def test_a_function_accepts_no_options_of_processes(name: str, value: object) -> None:
    """The function ran as root although its job asked for a user."""
    option = name.replace("-", "_")
    with pytest.raises(ValueError, match=f"^{option} means nothing to a function"):
        Scheduler().job("@daily", **{option: value}, greenlet=True)
