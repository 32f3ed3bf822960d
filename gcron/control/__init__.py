"""Talking to a gcron that runs: what can be asked and done, as an API over HTTP, over a Unix socket, and its client.

The modules, from the outside in: `socket` serves `api`, which is a table of `endpoints` over `operations` (what can be
asked), `actions` (what can be done), `why` and `feed` (what happens). `client` is the other side.
"""
