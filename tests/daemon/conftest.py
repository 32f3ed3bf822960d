"""Fixtures for tests of the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gcron.daemon import watching


@pytest.fixture(autouse=True)
def _watches_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the descriptors of each `FileWatch`. The daemon keeps them open until its process ends."""
    opened: list[Any] = []
    real_open = watching._open_inotify

    def open_inotify() -> Any:
        opened.append(real_open())
        return opened[-1]

    monkeypatch.setattr(watching, "_open_inotify", open_inotify)
    yield
    for inotify in opened:
        if inotify is not None:
            inotify.close()
