"""The pages, and the API over TCP: `gcron run --http`.

The modules, from the outside in: `part` is the part of the daemon, `address`, `token` and `link` are what it has before
the first client. `application` decides who may ask (`access`, `forwarded`) and which module answers: `control`'s API,
`pages`, `live` streams, `health`. `views` makes of records what a page shows, `words`, `strips` and `charts` how it
looks, `rendering` the HTML, in threads.
"""
