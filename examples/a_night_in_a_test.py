"""Test a crontab on virtual time: the night on which the clocks go forward, in milliseconds.

Prints:
    backup was due at 2027-03-28 03:00 and succeeded
    report was due at 2027-03-28 03:00 and succeeded
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from gcron.testing import simulate

BERLIN = ZoneInfo("Europe/Berlin")
CRONTAB = """
# gcron: name=backup timeout=1h
30 2 * * *  pg_dump orders
# gcron: name=report
0 3 * * *   ./report
"""

night = simulate(
    CRONTAB,
    datetime(2027, 3, 28, tzinfo=BERLIN),
    datetime(2027, 3, 28, 12, tzinfo=BERLIN),
    timezone=BERLIN,
    takes={"backup": 1800},
)
for name in ("backup", "report"):
    (run,) = night.of(name)
    (due,) = night.fires(name)
    print(f"{name} was due at {due} and {run.outcome}")
