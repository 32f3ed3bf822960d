"""The standard library's `subprocess`, with waiting that lets other greenlets run.

Example::

    from gcron.subprocess import check_output

    print(check_output(["echo", "hello"], text=True))
"""

from gcron.runtime.subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    UNKNOWN_STATUS,
    CalledProcessError,
    CompletedProcess,
    Popen,
    SubprocessError,
    TimeoutExpired,
    call,
    check_call,
    check_output,
    getoutput,
    getstatusoutput,
    list2cmdline,
    run,
)

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "UNKNOWN_STATUS",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "SubprocessError",
    "TimeoutExpired",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "list2cmdline",
    "run",
]
