"""A queue with room for three: `put` waits for room, `get` has a time-out, `put_nowait` and `get_nowait` never wait.

Prints:
    put 0
    put 1
    put 2
    put_nowait: the queue is full
    get 0
    put 3
    get 1
    get 2
    get 3
    get_nowait: the queue is empty
    get: nothing came in time
"""

import gcron
from gcron.queue import Empty, Full, Queue

tray: Queue[int] = Queue(maxsize=3)


def cook() -> None:
    for dish in range(4):
        tray.put(dish)
        print(f"put {dish}")


cooking = gcron.spawn(cook)
gcron.sleep(0)
try:
    tray.put_nowait(9)
except Full:
    print("put_nowait: the queue is full")

print(f"get {tray.get()}")
cooking.join()
while not tray.empty():
    print(f"get {tray.get(timeout=1)}")

try:
    tray.get_nowait()
except Empty:
    print("get_nowait: the queue is empty")
try:
    tray.get(timeout=0.01)
except Empty:
    print("get: nothing came in time")
