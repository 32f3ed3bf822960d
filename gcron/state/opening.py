"""Opens what `gcron run --state` or a program names: a directory, memory, a database, or what is usual here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from gcron.errors import ArgumentError, StateError
from gcron.frozen import frozen
from gcron.runtime.hub import get_hub
from gcron.scheduler.store import Store
from gcron.state.places import OUTPUT, InUse, NoHome, Place, is_instance_name, open_place, state_home
from gcron.state.rules import Keep
from gcron.state.sqlite import SqliteStore

if TYPE_CHECKING:
    from gcron.state.postgres.store import PostgresStore

__all__ = [
    "DatabaseOfProgram",
    "Opened",
    "Sharing",
    "StateOfProgram",
    "database_of_program",
    "open_store",
    "state_of_program",
]

_DATABASES = "postgresql://", "postgres://"

# An instance with a name has tables of its own: there each job would run a second time.
_SECOND_NODE = "another --node with a copy of the crontab in another directory starts a second node on this machine"
_OTHER_GROUP = "another --instance NAME starts one that shares no jobs with it"


@frozen
class Opened:
    """A store that is ready."""

    store: Store
    place: Place | None
    """None: in memory."""
    note: str = ""
    """What people should know; empty when all is well."""

    def close(self) -> None:
        """Let others have the place. The store is closed before, by the scheduler."""
        if self.place is not None:
            self.place.close()


# -- gcron run --------------------------------------------------------------------------------------------------


@frozen
class Sharing:
    """What a node says of itself where several of them share a database."""

    node: str
    """Its name; empty: the host's."""
    labels: frozenset[str] = frozenset()
    when_down: Literal["run", "skip"] = "skip"
    """What becomes of fires while the database is away."""
    name: str | None = None
    """Of the instance, if it was given one: others with that name share it."""


HERE = Sharing("")


def open_store(state: str | None, instance: str, keep: Keep, sharing: Sharing = HERE) -> Opened:
    """The store at `state`: a directory, `memory`, a URL, or None for the usual place of the instance.

    Where the usual place cannot be written, it is in memory, and the note says why. Raises StateError.
    """
    if state == "memory":
        return Opened(_in_memory(keep), None)
    if state is not None and state.startswith(_DATABASES):
        return _open_database(state, instance, keep, sharing)
    if state is not None:
        directory = _directory(state)
        try:
            place = _open(directory, instance)
        except InUse as error:
            other = "another --state DIR, with --instance NAME, starts another one beside it"
            raise _refusal(error, instance, other) from None
        return Opened(SqliteStore(directory, keep, after_kill=place.after_kill), place, place.note)
    try:
        directory = os.path.join(state_home(), instance)
        place = open_place(directory, instance)
    except InUse as error:
        raise _refusal(error, instance, "--instance NAME starts another one beside it") from None
    except OSError as error:
        return Opened(_in_memory(keep), None, _note(f"{error.filename or directory}: {error.strerror}"))
    except NoHome as error:
        return Opened(_in_memory(keep), None, _note(str(error)))
    return Opened(SqliteStore(directory, keep, after_kill=place.after_kill), place, place.note)


def _refusal(error: InUse, instance: str, other: str) -> StateError:
    """Why a second gcron does not start, what shows the first one, and what starts another."""
    holder = error.holder
    if not holder.instance:
        return StateError(f"{error}: give another --state DIR")
    has = "" if holder.instance == instance else f" with the history in {error.directory}"
    return StateError(
        f"a gcron runs as {holder.instance} already{has} ({holder}): "
        f"`gcron status --instance {holder.instance}` shows it, {other}"
    )


def _note(why: str) -> str:
    return f"history is kept in memory only, and is gone when gcron ends ({why}); --state DIR keeps it"


def _open_database(url: str, instance: str, keep: Keep, sharing: Sharing) -> Opened:
    """The store in a database. The directory of the instance has what this node's runs write."""
    from socket import gethostname  # all of it for few
    from tempfile import mkdtemp

    from gcron.state.postgres.address import name_of_schema
    from gcron.state.postgres.store import PostgresStore

    schema = name_of_schema(sharing.name)
    place, notes = None, []
    try:
        directory = os.path.join(state_home(), instance)
        place = open_place(directory, instance)
        notes.append(place.note)
    except InUse as error:
        raise _refusal(error, instance, _SECOND_NODE if sharing.name is None else _OTHER_GROUP) from None
    except (OSError, NoHome) as error:
        directory = mkdtemp(prefix="gcron-")
        why = f"{error.filename or directory}: {error.strerror}" if isinstance(error, OSError) else str(error)
        notes.append(f"what runs write is kept in {directory} ({why})")
    store = PostgresStore(
        url,
        os.path.join(directory, OUTPUT),
        node=sharing.node or gethostname(),
        labels=sharing.labels,
        schema=schema,
        when_down=sharing.when_down,
        keep=keep,
    )
    try:
        problem = store.open()
    except StateError:
        store.close()
        if place is not None:
            place.close()
        raise
    if problem:
        until = "jobs run, perhaps on other nodes, too" if sharing.when_down == "run" else "jobs that nodes share wait"
        notes.append(f"the database is away ({problem}): it is tried again, and until then {until}")
    return Opened(store, place, "; ".join(filter(None, notes)))


# -- programs ---------------------------------------------------------------------------------------------------


class StateOfProgram:
    """The state of a program's scheduler in `directory`, see `gcron.scheduler.state.State`."""

    is_named = True
    opens_again = True
    recent = None

    def __init__(self, directory: str, now: Callable[[], float]) -> None:
        self.store = SqliteStore(directory, now=now)
        self._place: Place | None = None

    @property
    def is_open(self) -> bool:
        """See `State.is_open`."""
        return self._place is not None

    def open(self) -> str:
        """See `State.open`."""
        if self._place is None:
            try:
                self._place = get_hub().threadpool.spawn(_open, self.store.directory, "").get()
            except InUse as error:
                text = f"another scheduler keeps its state in {error.directory} ({error.holder})"
                raise StateError(f"{text}: give this one another directory") from None
        return self._place.note

    def close(self) -> None:
        """See `State.close`."""
        if self._place is not None:
            self._place.close()
            self._place = None


def state_of_program(directory: str, now: Callable[[], float]) -> StateOfProgram:
    """The state in a directory, which is not opened yet. `now` returns seconds of UTC. Raises StateError for a URL."""
    return StateOfProgram(_directory(directory), now)


class DatabaseOfProgram:
    """The state of a program's scheduler in a database, which others share, see `gcron.scheduler.state.State`."""

    is_named = True
    opens_again = True
    recent = None

    def __init__(self, store: PostgresStore, directory: str) -> None:
        self.store = store
        self._directory = directory
        self._place: Place | None = None

    @property
    def is_open(self) -> bool:
        """See `State.is_open`."""
        return self._place is not None

    def open(self) -> str:
        """See `State.open`."""
        if self._place is not None:
            return ""
        return str(get_hub().threadpool.spawn(self._open).get())

    def _open(self) -> str:
        try:
            place = _open(self._directory, "")
        except InUse as error:
            text = f"another scheduler of this machine is the node {self.store.cluster.node} ({error.holder})"
            raise StateError(f"{text}: give this one another node=") from None
        try:
            problem = self.store.open()
        except BaseException:
            self.store.close()
            place.close()
            raise
        self._place = place
        return "; ".join(filter(None, [place.note, f"the database is away ({problem})" if problem else ""]))

    def close(self) -> None:
        """See `State.close`."""
        if self._place is not None:
            self._place.close()
            self._place = None


def database_of_program(
    url: str,
    node: str | None,
    labels: frozenset[str],
    when_down: Literal["run", "skip"],
    now: Callable[[], float],
) -> DatabaseOfProgram:
    """The state in a database, which is not opened yet. `node`: by default the host's name. Raises ArgumentError."""
    from socket import gethostname

    from gcron.state.postgres.store import PostgresStore

    name = gethostname() if node is None else node
    if wrong := [word for word in (name, *sorted(labels)) if not is_instance_name(word)]:
        raise ArgumentError(f"{wrong[0]!r} is no name of a node or a label: up to 64 letters, digits, . _ and -")
    if when_down not in ("run", "skip"):
        raise ArgumentError(f"on_store_down is 'skip' or 'run', not {when_down!r}")
    try:
        directory = os.path.join(state_home(), f"node-{name}")
    except NoHome as error:
        raise StateError(f"there is no place for what the runs of this node write: {error}") from None
    store = PostgresStore(url, os.path.join(directory, OUTPUT), node=name, labels=labels, when_down=when_down, now=now)
    return DatabaseOfProgram(store, directory)


# -- both -------------------------------------------------------------------------------------------------------


def _directory(state: str) -> str:
    if "://" in state:
        raise StateError(f"history cannot be kept in {state}: give a directory, or memory")
    return os.path.abspath(state)


def _open(directory: str, instance: str) -> Place:
    """The directory, which nobody else has. Raises StateError."""
    try:
        return open_place(directory, instance)
    except OSError as error:
        raise StateError(f"history cannot be kept in {directory}: {error.strerror}") from None


def _in_memory(keep: Keep) -> Store:
    from gcron.state.memory import MemoryStore  # for few

    return MemoryStore(keep)
