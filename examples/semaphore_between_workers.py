"""Readers and writers share two permits, first come, first served.

Prints:
    reader 0 in
    reader 1 in
    reader 0 out
    reader 1 out
    writer 0 in
    writer 1 in
    writer 0 out
    writer 1 out
    released once too often: refused
"""

import gcron
from gcron.lock import BoundedSemaphore

permits = BoundedSemaphore(2)


def reader(number: int) -> None:
    permits.acquire()
    print(f"reader {number} in")
    gcron.sleep(0)
    print(f"reader {number} out")
    permits.release()


def writer(number: int) -> None:
    with permits:
        print(f"writer {number} in")
        gcron.sleep(0)
        print(f"writer {number} out")


gcron.joinall(
    [gcron.spawn(reader, number) for number in range(2)] + [gcron.spawn(writer, number) for number in range(2)]
)
try:
    permits.release()
except ValueError:
    print("released once too often: refused")
