"""`gcron token`: the link to the pages of a gcron that runs."""

from __future__ import annotations

import argparse
import sys

from gcron.cli.talking import NO_GCRON, REFUSED
from gcron.control.client import NoGcron, choose
from gcron.control.places import running
from gcron.escaping import escape
from gcron.web.link import read_link

__all__ = ["main"]


def main(options: argparse.Namespace) -> int:
    """Print the link, or the token alone."""
    try:
        gcron = choose(options.instance, [one for one in running() if one.is_own])
    except NoGcron as error:
        print(f"gcron: {escape(str(error))}", file=sys.stderr)
        return NO_GCRON
    link = read_link(gcron)
    if link is None:
        text = f"{gcron.name} serves no pages; `gcron run --http 127.0.0.1:9180` does"
        print(f"gcron: {escape(text)}", file=sys.stderr)
        return REFUSED
    print(escape(link.token if options.bare else str(link)))
    return 0
