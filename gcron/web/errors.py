"""What can be wrong with the options of the pages."""

from __future__ import annotations

__all__ = ["HttpError"]


class HttpError(ValueError):
    """The pages cannot be served as asked; the message is one line with the remedy."""
