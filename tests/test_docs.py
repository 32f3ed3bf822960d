"""Each Python snippet of the reference pages runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

DOCS = Path(__file__).parent.parent / "docs"
SNIPPETS = {
    f"{page}-{number}": snippet
    for page in ("library", "runtime", "coming-from-gevent", "wsgi", "services", "testing", "chains")
    for number, snippet in enumerate(
        re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL), 1
    )
}


# Some snippets show a failure, which is logged.
QUIET = "__import__('logging').getLogger('gcron').setLevel('CRITICAL')\n"


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_each_snippet_of_the_reference_runs(snippet: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", QUIET + snippet], capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
