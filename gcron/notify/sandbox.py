"""What a process that renders a template does. It imports nothing of gcron: it starts for each message.

Jinja2's sandbox keeps a template from gcron's objects. It does not keep it from a huge power, from a loop in a loop, or
from a gigabyte of spaces. In gcron's own process one such template would stop every job.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["main", "render"]

_CPU_SECONDS = 5
_MEMORY = 512 * 1024 * 1024
LONGEST_BODY = 1024 * 1024
"""Bytes of a body."""


def main() -> None:
    """Read the template and its record as JSON, and write what becomes of them: `{"body": …}` or `{"error": …}`."""
    request = json.load(sys.stdin)
    limits = (
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    for what, limit in limits:
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    json.dump(render(request["template"], request["record"]), sys.stdout)


def render(template: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the body that a template makes of a record, or the error."""
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    # The filter of Jinja2 writes `<` as `\\u003c`, for HTML pages.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    try:
        body = bytearray()
        for part in environment.from_string(template).generate(record):
            body += part.encode("utf-8", "replace")
            if len(body) > LONGEST_BODY:
                return {"error": "it makes more than 1 MiB"}
        return {"body": body.decode("utf-8")}
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        return {"error": f"{error.message}" + (f" in line {line}" if line else "")}
    except Exception as error:  # whatever the template does with its values
        return {"error": type(error).__name__}
