"""The standard library's `select.select`, with waiting that lets other greenlets run.

Example::

    from gcron.select import select

    ready, _, _ = select([pipe], [], [], timeout=5.0)
"""

from gcron.runtime.select import select

__all__ = ["error", "select"]

error = OSError
"""The standard library's old name."""
