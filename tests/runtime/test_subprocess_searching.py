"""Which program `gcron.subprocess` starts, and as which user: the same as the standard library."""

from __future__ import annotations

import os
import pwd
import subprocess as stdlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gcron.runtime.subprocess as ours
from gcron.runtime.subprocess import find_executable

pytestmark = pytest.mark.usefixtures("told_by", "no_descriptor_leaks")

IS_ROOT = os.geteuid() == 0
Outcome = tuple[Any, ...]


def script(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Directories to search. One has the program `tool`, the others have other things of that name."""
    script(tmp_path / "good" / "tool", "#!/bin/sh\necho good $0\n")
    script(tmp_path / "other" / "tool", "#!/bin/sh\necho other $0\n")
    script(tmp_path / "plain" / "tool", "no program\n", 0o644)
    script(tmp_path / "damaged" / "tool", "\x7fELF damaged\n")
    script(tmp_path / "uninterpreted" / "tool", "#!/no/such/interpreter\n")
    (tmp_path / "folder" / "tool").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    script(tmp_path / "work" / "good" / "tool", "#!/bin/sh\necho in work\n")
    return tmp_path


def outcome(module: ModuleType, *args: Any, **kwargs: Any) -> Outcome:
    try:
        done = module.run(*args, stdout=ours.PIPE, **kwargs)
    except OSError as error:
        return type(error), error.errno, error.filename, error.__context__
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "search",
    [
        "good",
        "good:other",
        "empty:missing:other:good",
        "plain:good",
        "damaged:good",
        "uninterpreted:good",
        "folder:good",
        "plain",
        "damaged",
        "folder:empty",
        "damaged:plain:folder",
        "empty",
        "",
    ],
)
@pytest.mark.parametrize("of", ["the child", "this process"])
def test_the_program_found_is_the_standard_librarys(
    search: str, of: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ":".join(str(folders / name) for name in search.split(":") if name)
    kwargs: dict[str, Any] = {}
    if of == "the child":
        kwargs["env"] = {"PATH": path}
    else:
        monkeypatch.setenv("PATH", path)
    for command in (["tool"], ("tool", "argument"), "tool", ["no-such-tool"], [b"tool"], [folders / "good" / "tool"]):
        assert outcome(ours, command, **kwargs) == outcome(stdlib, command, **kwargs)


@pytest.mark.parametrize("search", ["good", "./good", ":/bin", "{0}/empty:good", "good:{0}/other", "../other"])
def test_relative_directories_are_searched_from_the_childs_cwd(
    search: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders)
    monkeypatch.setenv("PATH", search.format(folders))
    for cwd in (None, folders / "work", folders / "nowhere"):
        assert outcome(ours, ["tool"], cwd=cwd) == outcome(stdlib, ["tool"], cwd=cwd)


@pytest.mark.parametrize("environment", [{}, {"PATH": "/bin"}, {b"PATH": b"/bin"}, {"PATH": "/nowhere"}, {"A": "1"}])
def test_the_search_is_that_of_the_childs_environment(environment: dict[Any, Any]) -> None:
    for command in (["true"], ["sh", "-c", "exit 3"]):
        assert outcome(ours, command, env=environment) == outcome(stdlib, command, env=environment)


def test_the_search_is_not_cached(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a program appears in an earlier directory, that one runs from then on."""
    monkeypatch.setenv("PATH", f"{folders}/empty:{folders}/good:/bin")
    assert find_executable("tool", None) == f"{folders}/good/tool"
    script(folders / "empty" / "tool", "#!/bin/sh\necho new\n")
    assert outcome(ours, ["tool"]) == (0, b"new\n")
    (folders / "empty" / "tool").unlink()
    assert outcome(ours, ["tool"])[1].startswith(b"good")


def test_an_explicit_executable_or_shell_is_not_searched() -> None:
    for found in (find_executable("/bin/true", None), find_executable("", None), find_executable(b"true", None)):
        assert found is None
    kwargs: list[dict[str, Any]] = [{"executable": "/bin/sh"}, {"shell": True}, {"preexec_fn": lambda: os.chdir("/")}]
    for given in kwargs:
        assert outcome(ours, ["true"], **given) == outcome(stdlib, ["true"], **given)


# -- as another user ----------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
NOBODY = pwd.getpwnam("nobody")
WHO = ["sh", "-c", "id -u; id -g; id -G; id -ru; id -rg"]


@needs_root
@pytest.mark.parametrize(
    "switch",
    [
        {"user": NOBODY.pw_uid},
        {"user": "nobody"},
        {"group": NOBODY.pw_gid},
        {"group": "daemon"},
        {"extra_groups": [1, "daemon", 12345]},
        {"user": "nobody", "group": NOBODY.pw_gid, "extra_groups": []},
        {"user": 54321, "group": 54321, "extra_groups": [54322, 54323], "umask": 0o77, "start_new_session": True},
    ],
    ids=str,
)
def test_user_and_group_are_set_as_in_the_standard_library(switch: dict[str, Any]) -> None:
    done = outcome(ours, WHO, **switch)
    assert done == outcome(stdlib, WHO, **switch)
    assert done[0] == 0
    assert done != outcome(ours, WHO)


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_another_user_runs_only_permitted_programs(mode: int, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root finds a program that the child may not execute. The child goes on searching."""
    for folder in (folders, *folders.parents):
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith(("pytest-", folders.name)):
            folder.chmod(0o755)
    (folders / "good" / "tool").chmod(mode)
    monkeypatch.setenv("PATH", f"{folders}/good:{folders}/other:/bin")
    switch = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    done = outcome(ours, ["tool"], **switch)
    assert done == outcome(stdlib, ["tool"], **switch)
    assert done[1].startswith(b"good" if mode == 0o755 else b"other")


@needs_root
def test_a_child_of_another_user_is_waited_for_killed_and_talked_to() -> None:
    switch: dict[str, Any] = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    with ours.Popen(["cat"], stdin=ours.PIPE, stdout=ours.PIPE, **switch) as process:
        assert process.communicate(b"x" * 100_000) == (b"x" * 100_000, None)
    with pytest.raises(ours.TimeoutExpired):
        ours.run(["sleep", "100"], timeout=0.05, **switch)


@pytest.mark.skipif(IS_ROOT, reason="root may become anybody")
def test_an_unknown_user_is_the_standard_librarys_error() -> None:
    assert outcome(ours, ["true"], user=0) == outcome(stdlib, ["true"], user=0)
