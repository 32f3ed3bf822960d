"""Templates for the bodies of webhooks: rendered by a process of their own, which is limited. For threads."""

from __future__ import annotations

import json
import signal
import sys

from gcron.notify.delivery import DeliveryError
from gcron.notify.program import run_program

__all__ = ["render"]

# The packages are where gcron found them; the environment, which may hold secrets, is not given.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gcron.notify import sandbox; sandbox.main()"
# Seconds. The process itself may use 5 of the processor.
_TIMEOUT = 20.0


def render(template: str, record: dict[str, object]) -> str:
    """Return what a Jinja2 template makes of a record, at most 1 MiB of it. Raises DeliveryError.

    In a process of its own: nothing ends a loop in a thread.
    """
    arguments = [sys.executable, "-I", "-c", _PROGRAM, json.dumps(sys.path)]
    request = json.dumps({"template": template, "record": record}).encode()
    try:
        status, output = run_program(arguments, request, _TIMEOUT, {}, with_errors=False)
    except TimeoutError:
        raise DeliveryError(f"body-file: it took more than {_TIMEOUT:g} s", final=True) from None
    except OSError as error:
        raise DeliveryError(f"body-file: no process for it: {error.strerror}") from None
    if status == -signal.SIGKILL:  # by gcron's end, or by a kernel that has no memory: not the template's fault
        raise DeliveryError("body-file: its process was killed")
    if status:
        raise DeliveryError("body-file: it needs more than 5 s or 512 MiB", final=True)
    answer = json.loads(output)
    if "error" in answer:
        raise DeliveryError(f"body-file: {answer['error']}", final=True)
    return str(answer["body"])
