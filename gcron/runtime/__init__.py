"""The cooperative runtime: the loop, greenlets, primitives, processes and sockets. Private.

Programs import the public modules beside this folder (`gcron.event`, `gcron.queue`, …). From the bottom:

    timers, poller          deadlines; which descriptors are ready
    ring                    what can run next: parking and waking
    readiness, signals      what wakes the loop from outside
    loop, hub               whose turn it is; what a greenlet asks of its thread's loop
    timeout, links          time limits; something to wait for
    greenlet, waiting       functions that run together; waiting for several of them
    event, lock, queue, channel, local, pool, workers, threadpool
    select, pipes, children, communication, subprocess, fork_exec
    dns, sockets, socket_makers
    run_info                what a program is doing

This package may import the standard library and `greenlet` only. It must not know schedules, crontabs or jobs.
"""
