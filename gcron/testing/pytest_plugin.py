"""A fixture for pytest: `pytest_plugins = ["gcron.testing.pytest_plugin"]` in the top conftest.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gcron.testing.simulation import Simulation, simulate

__all__ = ["simulate_crontab"]


@pytest.fixture
def simulate_crontab() -> Callable[..., Simulation]:
    """`gcron.testing.simulate`: a crontab run through a day in milliseconds."""
    return simulate
