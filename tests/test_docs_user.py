"""docs/run-as-another-user.md: root sees what the page shows."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

PAGE = (Path(__file__).parent.parent / "docs" / "run-as-another-user.md").read_text(encoding="utf-8")
SAMPLE = re.search(
    r"^```crontab\n((?:(?!```).)*user=nobody.*?)^```\n.*?^```console\n\$ gcron exec jobs who\n(.*?)^```",
    PAGE,
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a job as somebody else")
def test_the_environment_of_another_user_is_as_the_page_shows(tmp_path: Path) -> None:
    assert SAMPLE is not None
    crontab, shown = SAMPLE.groups()
    (tmp_path / "jobs").write_text(crontab)

    result = subprocess.run(
        [sys.executable, "-m", "gcron", "exec", "jobs", "who"],
        cwd=tmp_path,
        env={"LANG": "C.UTF-8", "PATH": os.environ["PATH"], "SECRET": "root's", "GCRON_TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    # Debian's nobody has no home; other systems have given one to theirs.
    shown = shown.replace("HOME=/nonexistent", f"HOME={pwd.getpwnam('nobody').pw_dir}")
    assert without_run_id(result.stdout) == without_run_id(shown)


def without_run_id(text: str) -> str:
    return re.sub(r"(?<=GCRON_RUN_ID=)\w+|(?<=GCRON_MARK=)[\w-]+", "…", text)
