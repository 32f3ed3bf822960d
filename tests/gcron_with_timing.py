"""`gcron run` with other seconds of patience: run as a script, with these as JSON before the arguments of `gcron`."""

from __future__ import annotations

import json
import sys
from functools import partial

import gcron_boot
from gcron.cli import run
from gcron.supervise.timing import Timing

if __name__ == "__main__":
    # The command line takes the function from its module when the command is called for.
    run.main = partial(run.main, timing=Timing(**json.loads(sys.argv.pop(1))))
    raise SystemExit(gcron_boot.main())
