"""Clocks of nodes that a test can set, and two such nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.rig import Rig
from tests.postgres import Database
from tests.shifted_clock import library_of_clocks

__all__ = ["library_of_clocks"]


@pytest.fixture
def rig(request: pytest.FixtureRequest, library_of_clocks: Path, tmp_path: Path, postgres: Database) -> Iterator[Rig]:
    """Two nodes, a and b, with the CRONTAB of the test's module."""
    made = Rig(postgres, library_of_clocks, tmp_path, "ab", request.module.CRONTAB)
    try:
        made.start()
        yield made
    finally:
        made.end()
