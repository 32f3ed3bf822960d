"""Supervision: from "start this" to an outcome.

A command becomes a process tree in a session of its own (`tree`), its output is read line by line (`output`), an
attempt waits for its end (`attempt`), and a run tells what came of it (`run`). Knows nothing of schedules, crontab
files or logs: it is told what to start, and tells its listener what happens.
"""
