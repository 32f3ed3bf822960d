"""The names of the files in a state directory."""

from __future__ import annotations

__all__ = ["DATABASE", "LOCK", "OUTPUT", "PID"]

DATABASE = "history.db"
OUTPUT = "output"
LOCK = "lock"
PID = "pid"
