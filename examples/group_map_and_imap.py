"""Join a group of greenlets, or map a function over items: all at once, in order, or in the order in which they finish.

Prints:
    a group of 3
    world hello everybody
    the group is empty: True
    map: [1, 4, 9]
    imap: 3 1 2
    imap_unordered: 1 2 3
"""

import gcron
from gcron.pool import Group

group = Group()
words: list[str] = []


def say(word: str, delay: float) -> None:
    gcron.sleep(delay)
    words.append(word)


def nap(tenths: int) -> int:
    gcron.sleep(tenths / 20)
    return tenths


group.add(gcron.spawn(say, "hello", 0.04))
group.add(gcron.spawn(say, "world", 0.01))
group.spawn(say, "everybody", 0.08)
print(f"a group of {len(group)}")
group.join()
print(*words)
print(f"the group is empty: {len(group) == 0}")

print("map:", group.map(lambda number: number * number, [1, 2, 3]))
print("imap:", *group.imap(nap, [3, 1, 2]))
print("imap_unordered:", *group.imap_unordered(nap, [3, 1, 2]))
