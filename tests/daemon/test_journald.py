"""The log in a real journald, which cuts what is too long for it and makes records of their own of the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE

JOURNALD = next(filter(os.path.exists, ["/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"]), "")
# A journald alone, with directories of its own. Its end makes it write all that it has.
SCRIPT = """
mount -t tmpfs run /run && mount -t tmpfs log /var/log && mkdir -p /run/systemd/journal /run/log/journal || exit 125
"$1" & journald=$!
until [ -S /run/systemd/journal/stdout ]; do kill -0 $journald || exit 125; sleep 0.05; done
out=$2; shift 2
systemd-cat -t gcron "$@"; status=$?
kill -TERM $journald; wait $journald
journalctl -D /run/log/journal --no-pager --all -o json -t gcron > "$out"
exit $status
"""
# 100 KiB in one line, and what would be a record of gcron's if its piece began there.
FORGERY = "2026-01-01T00:00:00+00:00  gcron  stopped, as nobody has said"


@pytest.mark.realtime
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.skipif(not (JOURNALD and shutil.which("journalctl")), reason="there is no journald")
@pytest.mark.parametrize("format", ["text", "json", "logfmt"])
def test_no_piece_of_a_long_line_is_a_record_of_gcron(tmp_path: Path, format: str) -> None:
    """journald cut lines at 48 KiB. What followed was a record of its own, of which a job chose each byte."""
    crontab, out = tmp_path / "crontab", tmp_path / "journal"
    program = f"print('x' * (48 * 1024 - n) + {FORGERY!r} + 'y' * 50_000)"
    (tmp_path / "job.py").write_text(f"for n in range(0, 200, 10): {program}\n")
    crontab.write_text(f"# gcron: name=job\n@reboot {sys.executable} {tmp_path}/job.py; kill -TERM $PPID\n")
    gcron = [sys.executable, "-m", "gcron", "run", "--log-format", format, "--state", "memory", "--no-control", crontab]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", JOURNALD, out, *gcron],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode == 125:
        pytest.skip(f"no journald can run here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    records: list[Any] = [json.loads(line)["MESSAGE"] for line in out.read_text().splitlines()]
    texts = [record if isinstance(record, str) else bytes(record).decode() for record in records]
    assert sum(text.count("y") for text in texts) >= 20 * 50_000, "nothing is lost"
    for text in texts:
        assert len(text.encode()) <= 16 * 1024
        if format == "json":
            assert isinstance(json.loads(text), dict)
        else:
            start = r"\S+  (gcron|job) +" if format == "text" else r"time=\S+ event=\S+ "
            assert re.match(start, text), text[:100]
        assert not text.startswith(FORGERY[:30])
    assert any(FORGERY in text for text in texts), "it is a part of the job's lines"
