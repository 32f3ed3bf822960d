"""One event wakes all its waiters; every caller of `get` receives the same result.

Prints:
    the kettle is on
    guest 1 gets tea
    guest 2 gets tea
    the answer is 42
    asked again: 42
    nothing after 0.01 seconds
"""

import gcron
from gcron.event import AsyncResult, Event

boiling = Event()
answer: AsyncResult[int] = AsyncResult()


def kettle() -> None:
    print("the kettle is on")
    gcron.sleep(0.05)
    boiling.set()


def guest(number: int) -> None:
    boiling.wait()
    print(f"guest {number} gets tea")


def thinker() -> None:
    gcron.sleep(0.05)
    answer.set(42)


gcron.joinall([gcron.spawn(kettle), gcron.spawn(guest, 1), gcron.spawn(guest, 2)])

gcron.spawn(thinker)
print(f"the answer is {answer.get()}")
print(f"asked again: {answer.get()}")

try:
    AsyncResult().get(timeout=0.01)
except gcron.Timeout as timeout:
    print(f"nothing after {timeout}")
