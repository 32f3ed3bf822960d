"""A scheduler in a program: a Python job, a shell command, and the outcome of each run."""

from gcron.scheduler import RunFinished, Scheduler

scheduler = Scheduler(logger=None)  # this program prints the outcomes itself
finished: list[str] = []


@scheduler.job("@every 1s")
def refresh() -> int:
    return 42


def report(event: RunFinished) -> None:
    print(f"{event.job}: {event.result.outcome}")
    finished.append(event.job)


scheduler.on("run-finished", report)
scheduler.command("exit 3", "@manual", name="broken")
scheduler.start()

outcome = scheduler.trigger("broken").result.get(timeout=10)
print(f"broken: {outcome.reason}")
scheduler.trigger("refresh").result.get(timeout=10)
scheduler.stop(grace=5)
