"""A WSGI server on the cooperative runtime: HTTP/1.1, one greenlet a connection.

What users import is here; the parts, from the outside in: `server` accepts, `connection` talks to one client,
`request` parses (with `httptools`, Node's parser), `environ` and `body` are what the application is given, `response`
is what it gives back.
"""

from gcron.wsgi.limits import Limits
from gcron.wsgi.request import RequestError
from gcron.wsgi.server import WSGIServer

__all__ = ["Limits", "RequestError", "WSGIServer"]
