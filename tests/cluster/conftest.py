"""Clocks of nodes that a test can set."""

from tests.shifted_clock import library_of_clocks  # noqa: F401
