"""Every Python snippet of the runtime's reference runs, and asserts what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parent.parent / "docs" / "runtime.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", REFERENCE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[f"snippet-{number}" for number in range(1, len(SNIPPETS) + 1)])
def test_a_snippet_of_the_reference_runs(snippet: str) -> None:
    finished = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=30, check=False)

    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
