"""Looking into a running program: what every thread and every greenlet does just now.

Example::

    import signal

    from gcron import signal_handler
    from gcron.util import print_run_info

    signal_handler(signal.SIGUSR1, print_run_info)
"""

from gcron.runtime.run_info import format_run_info, print_run_info

__all__ = ["format_run_info", "print_run_info"]
