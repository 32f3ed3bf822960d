"""Where a command's program is: the search of `PATH`, done before the child is started instead of in it.

The standard library has the child try `execve` in one directory after the other, while the parent waits. May not know
processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

__all__ = ["find_executable"]


def find_executable(name: Any, environment: Mapping[Any, Any] | None) -> str | None:
    """Return the absolute path of the program `name` by the `PATH` of `environment` (None: of this process).

    None when it has to be searched for in the child: it is a path already, it is nowhere, or the search meets a
    directory whose place depends on the child's working directory.
    """
    if type(name) is not str or not name or "/" in name:
        return None
    # Not os.get_exec_path: with the warnings that it silences it costs more than the search itself.
    search = (os.environ if environment is None else environment).get("PATH")
    if type(search) is not str:
        return None
    for directory in search.split(":"):
        if not directory.startswith("/"):
            return None
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None
