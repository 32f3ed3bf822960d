"""The variables that gcron gives to what it starts. None of them is a setting of gcron.

A job or a command may itself call gcron, which must not take them for its options. This module knows nothing of gcron.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MARK", "NO_SETTINGS", "OF_MESSAGES", "OF_NODES", "OF_RUNS"]

MARK = "GCRON_MARK"
"""The variable by which gcron finds the processes of a run. Processes inherit it, and nobody can guess its value."""
OF_RUNS: Mapping[str, str] = MappingProxyType(
    {
        "GCRON_JOB": "job",
        "GCRON_FIRE_AT": "fire_at",
        "GCRON_ATTEMPT": "attempt",
        "GCRON_RUN_ID": "run_id",
        MARK: "mark",
    }
)
"""Of each job and command, with the fields of their `Identity` (docs/environment.md)."""
OF_NODES: Mapping[str, str] = MappingProxyType({"GCRON_NODE": "node", "GCRON_FENCE": "fence"})
"""Of jobs where several nodes share the work, with the fields of their `Identity`."""
OF_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "GCRON_KIND": "kind",
        "GCRON_TITLE": "title",
        "GCRON_TIMES": "count",  # GCRON_COUNT is --count
        "GCRON_OF_RUN_ID": "run_id",
        "GCRON_DUE": "fire_at",
        "GCRON_OUTCOME": "outcome",
        "GCRON_REASON": "reason",
        "GCRON_REASON_CODE": "reason_code",
        "GCRON_EXIT_CODE": "exit_code",
        "GCRON_DURATION": "duration",
        "GCRON_CPU_SECONDS": "cpu_seconds",
        "GCRON_MAX_RSS_BYTES": "max_rss_bytes",
        "GCRON_OUTPUT_BYTES": "output_bytes",
        "GCRON_ATTEMPTS": "attempts",
        "GCRON_LAST_SUCCESS": "last_success",
    }
)
"""Of commands such as `on-failure=`, with the fields of their message's record (docs/notifications.md)."""
NO_SETTINGS = OF_RUNS.keys() | OF_NODES.keys() | OF_MESSAGES.keys()
"""Options of these names, such as `--job` and `--outcome`, have no variable."""
