"""A WSGI server on the cooperative runtime: HTTP/1.1, one greenlet per connection.

Users import from here. The modules, from the outside in: `server` accepts, `connection` talks to one client, `request`
parses (with `httptools`, Node's parser), `environ` and `body` make what the application gets, `response` sends what it
returns.
"""

from gcron.wsgi.limits import Limits
from gcron.wsgi.request import RequestError
from gcron.wsgi.server import WSGIServer

__all__ = ["Limits", "RequestError", "WSGIServer"]
