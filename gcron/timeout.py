"""`Timeout`: an exception that is raised in a greenlet after some seconds.

Example::

    from gcron import Timeout, sleep

    with Timeout(0.1, False):  # False: leave the block quietly
        sleep(60.0)
"""

from gcron.runtime.timeout import Timeout, with_timeout

__all__ = ["Timeout", "with_timeout"]
