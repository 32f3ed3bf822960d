"""The measurement of coverage, which the gate turns on in each Python process that a test starts."""

from __future__ import annotations

import os

__all__ = ["unmeasured"]


def unmeasured() -> dict[str, str]:
    """Return an environment without it.

    For a test of what a process loads and when: coverage loads much by itself. And for a test of Ctrl-C in Python code
    that never pauses: a KeyboardInterrupt in the code of coverage is lost, which happened in 8 of 60 tries.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
