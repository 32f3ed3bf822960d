"""Which program a shell command is about, as far as its text shows: for the names of jobs that give none.

What prepares or guards the program (`cd /srv &&`, `test -x … &&`, `nice`, `sudo -u bob`) is looked through. Only base
names of programs and scripts are returned: arguments, values of options, assignments and URLs may hold secrets. This is
no shell: a command that is read wrongly only has a worse name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["is_plain_program", "program_of"]

# As text: `re` compiles each at its first use. Most crontabs need none of them: see `_PLAIN_PROGRAM`.
_REDIRECTION = r"[0-9]*(?:&>>?|[<>]{1,3}[&|]?)"
_OPERATOR = r"&&|\|\||[;|&()\n]"
# Possessive (`++`, `*+`): a match never goes back, so the time is linear for any text. Groups are atomic (`(?>…)`)
# instead: before 3.11.5, Python loses text after a possessive group (python/cpython#100061).
_SHELL_WORD = r"""(?>(?:\\.|'[^']*+'|"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|\$\([^()]*+\)|`[^`]*+`|[^ \t\n;|&()<>'"\\`]++)+)"""
_TOKEN = rf"[ \t]*+(?:({_REDIRECTION})|({_OPERATOR})|({_SHELL_WORD})|.)"
_ASSIGNMENT = r"[A-Za-z_]\w*\+?=.*"
_SAFE = r"\w[\w.+-]{0,39}"
# A path without anything that a shell would look at, then the end of the word: most commands begin so.
_PLAIN_PROGRAM = re.compile(r"(?:[\w.+/-]*/)?([A-Za-z0-9_][\w.+-]{0,39})(?![^ \t])", re.ASCII)
_READ = 1000
"""Characters of a command that are looked at."""
_DEEPEST = 4
"""Commands inside commands: `flock /run/x -c "sudo sh -c '…'"`."""

_KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "}", "time"})
_PREPARATIONS = frozenset(
    {"cd", "test", "[", "[[", "true", "false", ":", "set", "export", "unset", "umask", "ulimit", "sleep", "exit", ".",
     "source", "which", "type", "hash", "trap", "wait", "fi", "done", "for", "echo", "printf", "date", "logger",
     "mkdir"}
)  # fmt: skip
"""Programs that no job is about, if there is another one."""


class _Wrapper(NamedTuple):
    """A program that runs another one: its options that take a value, and its own arguments before the program."""

    with_value: frozenset[str] = frozenset()
    arguments: int = 0


def _wrapper(with_value: str = "", arguments: int = 0) -> _Wrapper:
    return _Wrapper(frozenset(with_value.split()), arguments)


_WRAPPERS: Mapping[str, _Wrapper] = MappingProxyType(
    {
        "chronic": _wrapper(),
        "chrt": _wrapper("-T -P -D", 1),
        "command": _wrapper(),
        "cronic": _wrapper(),
        "eatmydata": _wrapper(),
        "env": _wrapper("-u --unset -C --chdir -S"),
        "exec": _wrapper("-a"),
        "flock": _wrapper("-w --wait --timeout -E --conflict-exit-code", 1),
        "ionice": _wrapper("-c --class -n --classdata"),
        "nice": _wrapper("-n --adjustment"),
        "nohup": _wrapper(),
        "run-one": _wrapper(),
        "runuser": _wrapper("-u --user -g --group -G -s --shell"),
        "setsid": _wrapper(),
        "stdbuf": _wrapper("-i -o -e"),
        "sudo": _wrapper("-u --user -g --group -h -p -C -r -t -T -U -D -R"),
        "systemd-cat": _wrapper("-t -p"),
        "taskset": _wrapper("", 1),
        "timeout": _wrapper("-k --kill-after -s --signal", 1),
    }
)
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "su", "runuser", "flock"})
"""Programs whose option `-c` has a command."""


class _Interpreter(NamedTuple):
    """A program that is only known by its script: its options that take a value, and those after which is no script."""

    with_value: frozenset[str] = frozenset()
    without_script: frozenset[str] = frozenset()


def _interpreter(with_value: str = "", without_script: str = "") -> _Interpreter:
    return _Interpreter(frozenset(with_value.split()), frozenset(without_script.split()))


_INTERPRETERS: Mapping[str, _Interpreter] = MappingProxyType(
    {
        **dict.fromkeys(("sh", "bash", "dash", "zsh", "ksh", "ash"), _interpreter("-o -O", "-c -s")),
        "java": _interpreter("-cp -classpath --class-path"),
        "node": _interpreter("-r --require", "-e -p --eval --print"),
        "perl": _interpreter("-I", "-e -E"),
        "php": _interpreter("-d -c", "-r"),
        "python": _interpreter("-W -X", "-c"),
        "ruby": _interpreter("-I -r", "-e"),
        "run-parts": _interpreter("-a -u"),
    }
)
_VERSION = "0123456789."
_NOT_PLAIN = frozenset({*_KEYWORDS, *_PREPARATIONS, *_WRAPPERS, *_SHELLS, *_INTERPRETERS})


def is_plain_program(name: str) -> bool:
    """Whether a program of this name does its work itself. Others start one that their arguments name."""
    return name.rstrip(_VERSION) not in _NOT_PLAIN


def program_of(command: str) -> str:
    """Return the base name of the program, after an interpreter that of the script, too; empty if none can be told.

    >>> program_of("cd /srv/app && nice -n 5 php artisan schedule:run")
    'php-artisan'
    """
    if (plain := _PLAIN_PROGRAM.match(command)) and is_plain_program(name := plain[1]):
        return name
    return _program_in(command[:_READ], _DEEPEST)


def _program_in(command: str, depth: int) -> str:
    """Return the program of the first part that does not only prepare another one, or of the first part of all."""
    first = ""
    for words in _simple_commands(command):
        name, is_preparation = _program_in_words(words, depth)
        if name and not is_preparation:
            return name
        first = first or name
    return first


def _simple_commands(command: str) -> Iterator[list[str]]:
    """Yield the words of each part between operators, without redirections."""
    words: list[str] = []
    is_target = False
    for redirection, operator, word in re.findall(_TOKEN, command):
        if redirection:
            is_target = True
        elif operator:
            yield words
            words = []
        elif word:
            if word.startswith("#"):
                break
            if not is_target:
                words.append(word)
            is_target = False
    yield words


def _program_in_words(words: Sequence[str], depth: int) -> tuple[str, bool]:
    """Return the program's name, and whether it only prepares another one."""
    while words and (words[0] in _KEYWORDS or ("=" in words[0] and re.fullmatch(_ASSIGNMENT, words[0]))):
        words = words[1:]
    if not words:
        return "", True
    program = _base(words[0])
    arguments = words[1:]
    if program == "command" and arguments[:1] in (["-v"], ["-V"]):
        return program, True
    if depth and program in _SHELLS and (inner := _inner_command(arguments)):
        return _program_in(inner, depth - 1) or program, False
    if depth and program in _WRAPPERS and (rest := _wrapped(_WRAPPERS[program], arguments)):
        name, is_preparation = _program_in_words(rest, depth - 1)
        return name or program, is_preparation
    if interpreter := _INTERPRETERS.get(program.rstrip(_VERSION)):
        script = _script(interpreter, arguments)
        return f"{program}-{script}" if script else program, not interpreter.without_script.isdisjoint(arguments)
    return program, program in _PREPARATIONS


# Cached: crontabs repeat the same few programs.
@lru_cache(maxsize=1024)
def _base(word: str) -> str:
    """Return the base name of a program, without what a shell would look at; empty if the word may hold a secret."""
    if "://" in word or "=" in word or "@" in word or word.startswith(("`", "$(")):
        return ""
    name = _unquoted(word).rstrip("/").rpartition("/")[2]
    if name in _PREPARATIONS:
        return name
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.+")


def _unquoted(word: str) -> str:
    return re.sub(r"""\\(.)|['"]""", r"\1", word)


def _inner_command(arguments: Sequence[str]) -> str:
    """Return the command that follows `-c`, or empty."""
    for option, value in pairwise(arguments):
        if re.fullmatch(r"-[a-z]*c", option):
            return _unquoted(value) if value[:1] == "'" else re.sub(r'\\(["\\$`])|^"|"$', r"\1", value)
    return ""


def _wrapped(wrapper: _Wrapper, arguments: Sequence[str]) -> Sequence[str]:
    """Return the words of the program that a wrapper runs."""
    left, index = wrapper.arguments, 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            return arguments[index + 1 + left :]
        if word.startswith("-"):
            index += 1 + (word in wrapper.with_value)
        elif left:
            left, index = left - 1, index + 1
        else:
            return arguments[index:]
    return ()


def _script(interpreter: _Interpreter, arguments: Sequence[str]) -> str:
    """Return the base name of an interpreter's script or module, or empty."""
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if not word.startswith("-"):
            name = _base(word)
            return name if re.fullmatch(_SAFE, name) else ""
        if word in interpreter.without_script:
            return ""
        index += 1 + (word in interpreter.with_value)
    return ""
