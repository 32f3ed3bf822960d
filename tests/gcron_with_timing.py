"""`gcron run` with other waiting times, for tests: a script that takes them as JSON before the arguments of `gcron`."""

from __future__ import annotations

import json
import sys
from functools import partial

import gcron_boot
from gcron.cli import run
from gcron.supervise.timing import Timing

if __name__ == "__main__":
    # The command line looks the function up in its module.
    run.main = partial(run.main, timing=Timing(**json.loads(sys.argv.pop(1))))
    raise SystemExit(gcron_boot.main())
