"""Crontab files: from text to entries, with every problem at its line and column.

In short:

    crontab = load("crontab.example")
    for problem in crontab.problems:
        print(render(problem))
    for entry in crontab.entries:
        print(entry.name, entry.schedule_text, entry.command)
"""

from gcron.crontab.assignment import Environment
from gcron.crontab.checks import find_group_mistakes, find_target_mistakes, group_limits, targets_of
from gcron.crontab.entry import Crontab, Entry, Group
from gcron.crontab.finding import JobNotFound, find_job
from gcron.crontab.loading import Loaded, LoadSettings, load, load_all, load_paths
from gcron.crontab.parser import parse
from gcron.crontab.problem import CrontabError, Problem, Severity, render, render_all
from gcron.crontab.target import Target

__all__ = [
    "Crontab",
    "CrontabError",
    "Entry",
    "Environment",
    "Group",
    "JobNotFound",
    "LoadSettings",
    "Loaded",
    "Problem",
    "Severity",
    "Target",
    "find_group_mistakes",
    "find_job",
    "find_target_mistakes",
    "group_limits",
    "load",
    "load_all",
    "load_paths",
    "parse",
    "render",
    "render_all",
    "targets_of",
]
