"""The cooperative runtime: the loop, greenlets, the primitives on them, processes and sockets. Private.

Programs import the public modules beside this folder (`gcron.event`, `gcron.queue`, …). This package may import the
standard library and `greenlet` only. It must not know schedules, crontabs or jobs.
"""
