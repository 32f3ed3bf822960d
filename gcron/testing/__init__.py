"""Helpers for tests of programs that use gcron: a virtual clock, and simulations of a crontab."""

from gcron.testing.clock import VirtualClock
from gcron.testing.simulation import SimulatedRun, Simulation, simulate

__all__ = ["SimulatedRun", "Simulation", "VirtualClock", "simulate"]
