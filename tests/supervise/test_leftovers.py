"""What a gcron that has ended has left, and whose it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gcron.supervise import leftovers
from gcron.supervise.command import MARK, instance_digest
from tests.waiting import until


@pytest.mark.parametrize(("instance", "is_named"), [("ours", True), ("theirs", False)])
def test_a_process_in_a_group_of_another_pid_namespace_is_of_the_instance_of_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: str, is_named: bool
) -> None:
    """The mark was not looked at, and each gcron with other crontabs said that `import` still runs."""
    mark = f"1-7-99-{instance_digest(instance)}-{os.urandom(16).hex()}"
    environment = {**os.environ, MARK: mark, "GCRON_JOB": "import", "GCRON_RUN_ID": "a1"}
    with subprocess.Popen(["sleep", "60"], env=environment) as job:
        try:
            # The groups of gcron are of a gcron that has ended; its run is the process above.
            (tmp_path / "cgroup.procs").write_text(f"{job.pid}\n")
            monkeypatch.setattr(leftovers, "abandoned_groups", lambda: [tmp_path])
            until(lambda: Path(f"/proc/{job.pid}/comm").read_text() == "sleep\n")
            messages = leftovers.find_leftovers("ours")
            assert [f"pid {job.pid}" in message for message in messages if "import" in message] == [True] * is_named
        finally:
            job.kill()
