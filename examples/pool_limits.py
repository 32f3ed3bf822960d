"""A pool never runs more greenlets at once than its size.

Prints:
    8 connections were made, at most 3 at once
    one more now? no, the pool is full
"""

import gcron
from gcron.pool import Pool, PoolFull

pool = Pool(3)
most = 0


def connect(number: int) -> int:
    global most
    most = max(most, len(pool))
    gcron.sleep(0.01)
    return number


made = pool.map(connect, range(8))
print(f"{len(made)} connections were made, at most {most} at once")

for number in range(3):
    pool.spawn(connect, number)
try:
    pool.add(gcron.Greenlet(connect, 3), blocking=False)
except PoolFull:
    print("one more now? no, the pool is full")
pool.join()
