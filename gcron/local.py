"""`local`: an object whose attributes differ from greenlet to greenlet.

Example::

    from gcron.local import local

    request = local()
    request.user = "me"  # other greenlets do not see it
"""

from gcron.runtime.local import local

__all__ = ["local"]
