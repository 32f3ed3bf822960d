"""The measurement of coverage, which the gate turns on in each Python process that a test starts."""

from __future__ import annotations

import os

__all__ = ["unmeasured"]


def unmeasured() -> dict[str, str]:
    """Return an environment without it, for a test of what a process loads and when: coverage loads much by itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
