"""A Werkzeug application that keeps its request in a `local`: each of several concurrent requests sees its own.

Prints:
    hello anna, 1 of 3 in the room
    hello ben, 2 of 3 in the room
    hello carla, 3 of 3 in the room
    after waiting, anna is still anna
    after waiting, ben is still ben
    after waiting, carla is still carla
"""

from http.client import HTTPConnection

from werkzeug.local import LocalProxy
from werkzeug.wrappers import Request, Response

import gcron
from gcron import socket
from gcron.event import Event
from gcron.local import local
from gcron.wsgi import WSGIServer

GUESTS = ["anna", "ben", "carla"]
session = local()
request = LocalProxy(lambda: session.request)
arrived: list[str] = []
everybody_is_here = Event()


def application(environ, start_response):
    session.request = Request(environ)
    return greet()(environ, start_response)


def greet() -> Response:
    """A view. It has no argument: `request` is the request of the present greenlet."""
    arrived.append(request.args["name"])
    print(f"hello {request.args['name']}, {len(arrived)} of {len(GUESTS)} in the room")
    if len(arrived) == len(GUESTS):
        everybody_is_here.set()
    everybody_is_here.wait()  # now all requests wait in this function
    return Response(request.args["name"])


def visit(name: str) -> str:
    connection = HTTPConnection(*server.address)
    connection.sock = socket.create_connection(server.address)
    connection.request("GET", f"/?name={name}")
    return connection.getresponse().read().decode()


server = WSGIServer(("127.0.0.1", 0), application, log=None)
server.start()
visits = [gcron.spawn(visit, name) for name in GUESTS]
for name, answer in zip(GUESTS, gcron.joinall(visits), strict=True):
    print(f"after waiting, {name} is still {answer.value}")
server.stop()
