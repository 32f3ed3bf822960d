"""Each greenlet has its own values in a `local`.

Prints:
    anna sees anna
    ben sees ben
    the main greenlet sees nothing
    a request starts as guest
"""

import gcron
from gcron.local import local

stash = local()


def keep(name: str) -> None:
    stash.name = name
    gcron.sleep(0)
    print(f"{name} sees {stash.name}")


class Request(local):
    def __init__(self, user: str) -> None:
        self.user = user


gcron.joinall([gcron.spawn(keep, "anna"), gcron.spawn(keep, "ben")])
print("the main greenlet sees", getattr(stash, "name", "nothing"))

request = Request("guest")
request.user = "root"
print("a request starts as", gcron.spawn(lambda: request.user).get())
