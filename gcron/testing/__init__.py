"""For tests of programs that use gcron: time that passes by itself, and crontabs run through days in milliseconds."""

from gcron.testing.clock import VirtualClock
from gcron.testing.simulation import SimulatedRun, Simulation, simulate

__all__ = ["SimulatedRun", "Simulation", "VirtualClock", "simulate"]
