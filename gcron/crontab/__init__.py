"""Crontab files: text to entries, with everything that is wrong at its line and column.

In short:

    crontab = load("crontab.example")
    for problem in crontab.problems:
        print(render(problem))
    for entry in crontab.entries:
        print(entry.name, entry.schedule_text, entry.command)
"""

from gcron.crontab.assignment import Environment
from gcron.crontab.entry import Crontab, Entry, Group
from gcron.crontab.grouping import find_group_mistakes, group_limits
from gcron.crontab.parser import parse
from gcron.crontab.problem import CrontabError, Problem, Severity, render, render_all
from gcron.crontab.source import load, load_paths

__all__ = [
    "Crontab",
    "CrontabError",
    "Entry",
    "Environment",
    "Group",
    "Problem",
    "Severity",
    "find_group_mistakes",
    "group_limits",
    "load",
    "load_paths",
    "parse",
    "render",
    "render_all",
]
