"""The options of `gcron run` for a machine that shares its jobs with others over PostgreSQL."""

from __future__ import annotations

import argparse

from gcron.cli.parser import Several

__all__ = ["add_node_options", "find_useless_node_options", "is_shared", "node_name", "shows_password"]

_OPTIONS = ("node", "labels", "on_store_down")
_DEFAULT = {"node": None, "labels": (), "on_store_down": None}


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Add them, in a group of their own."""
    group = parser.add_argument_group("several machines, with --state postgresql://… (gcron help several-machines)")
    group.add_argument(
        "--node", type=_name, metavar="NAME", help="the name of this machine among them (default: its host name)"
    )
    group.add_argument(
        "--labels",
        action=Several,
        type=_names,
        default=(),
        metavar="LIST",
        help="this machine also runs the jobs with run-on=label:NAME for these names, such as gpu,berlin",
    )
    group.add_argument(
        "--on-store-down",
        choices=("skip", "run"),
        help="while PostgreSQL does not answer: start no job that others could start, too (skip, the default), or "
        "start it on each machine (run)",
    )


def find_useless_node_options(parsed: argparse.Namespace) -> str:
    """What is wrong with a command line that has one of these options, and no PostgreSQL; empty for nothing."""
    if is_shared(parsed):
        return ""
    useless = [f"--{name.replace('_', '-')}" for name in _OPTIONS if getattr(parsed, name) != _DEFAULT[name]]
    if not useless:
        return ""
    return f"{', '.join(useless)}: only with --state postgresql://…, where several machines share the jobs"


def is_shared(options: argparse.Namespace) -> bool:
    """Whether several machines can share the `--state` of this command line: it is a PostgreSQL database."""
    state: str | None = getattr(options, "state", None)  # not all commands have that option
    return state is not None and state.startswith(("postgresql://", "postgres://"))


def shows_password(options: argparse.Namespace) -> bool:
    """Whether other users of this machine can see a password in the command line (ps)."""
    if not is_shared(options) or "state" in options.variables:
        return False
    from gcron.state.postgres.address import passwords_of

    return bool(passwords_of(options.state))


def node_name(given: str | None) -> str:
    """The name of this machine: the given one, or that of the host. Raises ValueError."""
    if given is not None:
        return given
    import socket

    from gcron.state.places import is_instance_name

    name = socket.gethostname()
    if not is_instance_name(name):
        raise ValueError(f"the host name {name!r} cannot be the name of a node: give one with --node NAME")
    return name


def _name(text: str) -> str:
    from gcron.state.places import is_instance_name

    if not is_instance_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: up to 64 letters, digits, . _ and -")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(_name(name.strip()) for name in text.split(","))
