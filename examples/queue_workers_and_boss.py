"""A boss fills a queue, two workers empty it, and `join` returns when all items are done.

Prints:
    boss has put 6 parcels
    anna took parcel 0
    ben took parcel 1
    anna took parcel 2
    ben took parcel 3
    anna took parcel 4
    ben took parcel 5
    all parcels are delivered
"""

import gcron
from gcron.queue import Queue

parcels: Queue[int] = Queue()


def worker(name: str) -> None:
    for parcel in parcels:
        print(f"{name} took parcel {parcel}")
        gcron.sleep(0)
        parcels.task_done()


def boss() -> None:
    for parcel in range(6):
        parcels.put(parcel)
    print("boss has put 6 parcels")


workers = [gcron.spawn(worker, "anna"), gcron.spawn(worker, "ben")]
gcron.spawn(boss).join()
parcels.join()
print("all parcels are delivered")
gcron.killall(workers)
