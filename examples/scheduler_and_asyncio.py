"""An asyncio program awaits jobs. The scheduler runs in a thread of its own, so the event loop goes on meanwhile.

Prints:
    import: succeeded, wrote b'3 rows\\n'
    check: failed, exit status 7
"""

import asyncio

from gcron import Scheduler

scheduler = Scheduler(logger=None)  # this program prints the outcomes itself
scheduler.command("sleep 0.1; echo '3 rows'", "@daily", name="import")
scheduler.command("exit 7", "@hourly", name="check")


async def main() -> None:
    rows, check = await asyncio.gather(run("import"), run("check"))
    print(f"import: {rows.outcome}, wrote {rows.output_head}")
    print(f"check: {check.outcome}, {check.reason}")


async def run(name):
    return await scheduler.trigger(name)


scheduler.start_thread()
asyncio.run(main())
scheduler.stop()
