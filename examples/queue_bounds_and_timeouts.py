"""A queue with room for three: putting waits, getting gives up, and the impatient never wait.

Prints:
    put 0
    put 1
    put 2
    full for the impatient
    get 0
    put 3
    get 1
    get 2
    get 3
    empty for the impatient
    nobody puts any more
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
    print("full for the impatient")

print(f"get {tray.get()}")
cooking.join()
while not tray.empty():
    print(f"get {tray.get(timeout=1)}")

try:
    tray.get_nowait()
except Empty:
    print("empty for the impatient")
try:
    tray.get(timeout=0.01)
except Empty:
    print("nobody puts any more")
