"""Makes pages of templates, in threads of its own: the threads of the scheduler have other work."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gcron.escaping import escape_line
from gcron.runtime.threadpool import ThreadPool
from gcron.web import words
from gcron.web.static import version_of
from gcron.wording import plural

__all__ = ["Renderer"]

_THREADS = 2
_TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")


class Renderer:
    """Templates for pages below the prefix `base`."""

    def __init__(self, base: str) -> None:
        self._threads = ThreadPool(_THREADS)
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=_shown,
        )
        self._environment.filters |= {"q": words.quoted, "exact": words.exact, "span": words.span}
        self._environment.globals |= {"base": base, "version_of": version_of, "plural": plural}

    def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` returns, called in a thread; the caller parks."""
        return self._threads.spawn(work, *arguments).get()

    def render(self, template: str, **data: Any) -> str:
        """A page. For a thread."""
        return self._environment.get_template(template).render(data)

    def macro(self, template: str, name: str) -> Callable[..., str]:
        """A part of a page. For a thread."""
        return getattr(self._environment.get_template(template).module, name)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the threads end."""
        self._threads.kill()


def _shown(value: Any) -> Any:
    """Text of others without what a browser would act upon: control characters, changes of direction, half bytes."""
    return escape_line(value) if type(value) is str else value
