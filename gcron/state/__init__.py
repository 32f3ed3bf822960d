"""What gcron remembers: runs, output, claims and pauses, on disk or in memory, behind `gcron.scheduler.store`."""
