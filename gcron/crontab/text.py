"""From the bytes of a file to its lines; what is not text is refused once, not a thousand times.

Bytes that are not UTF-8 are carried as `surrogateescape` does: a command reaches its job byte for byte.
"""

from __future__ import annotations

from gcron.crontab.problem import LineError, Problems

__all__ = ["split_lines", "to_bytes"]

_BOM = "\ufeff"
_CONTROLS = bytes([*range(1, 9), *range(14, 32), 127])
_BINARY_SHARE = 0.05
"""Random bytes hold 10 % of control characters, text in any encoding next to none."""


def split_lines(data: bytes | str, problems: Problems) -> list[str]:
    """The lines without their ends; nothing but a problem if the data are no text."""
    raw = _encoded(data, problems)
    if raw is None or _is_binary(raw, problems):
        return []
    text = raw.decode("utf-8", "surrogateescape")
    if text.startswith(_BOM):
        text = text[1:]
        problems.warning(1, "", LineError("a byte order mark is dropped", 0, 1, "save without a BOM"))
    return (_without_carriage_returns(text, problems) if "\r" in text else text).split("\n")


def to_bytes(text: str) -> bytes:
    """The bytes that `split_lines` made the text of."""
    return text.encode("utf-8", "surrogateescape")


def _encoded(data: bytes | str, problems: Problems) -> bytes | None:
    if not isinstance(data, str):
        return data
    try:
        return to_bytes(data)
    except UnicodeEncodeError as error:
        number = data.count("\n", 0, error.start) + 1
        column = error.start - (data.rfind("\n", 0, error.start) + 1)
        message = "not a crontab: a surrogate that no file can hold"
        problems.error(number, "", LineError(message, column, column + 1))
        return None


def _is_binary(raw: bytes, problems: Problems) -> bool:
    nul = raw.find(b"\0")
    if nul >= 0:
        number = raw.count(b"\n", 0, nul) + 1
        column = nul - (raw.rfind(b"\n", 0, nul) + 1)
        message = "not a crontab: it holds a NUL byte"
        problems.error(number, "", LineError(message, column, column + 1, "a crontab is a text file"))
        return True
    controls = len(raw) - len(raw.translate(None, _CONTROLS))
    if controls <= len(raw) * _BINARY_SHARE:
        return False
    message = f"not a crontab: {controls} of its {len(raw)} bytes are control characters"
    problems.error(1, "", LineError(message, 0, 1, "a crontab is a text file"))
    return True


def _without_carriage_returns(text: str, problems: Problems) -> str:
    """One is dropped at each line's end, as editors on Windows put it there; one inside a line stays."""
    ends = text.count("\r\n") + text.endswith("\r")
    if ends:
        at = text.find("\r\n")
        _warn_at(text, at if at >= 0 else len(text) - 1, _ends_message(ends), "save with LF line ends", problems)
        text = text.replace("\r\n", "\n").removesuffix("\r")
    inside = text.find("\r")
    if inside >= 0:
        _warn_at(text, inside, "a carriage return inside the line is kept", "line ends are LF", problems)
    return text


def _ends_message(ends: int) -> str:
    if ends == 1:
        return "the carriage return at the end of the line is dropped"
    return f"the carriage return at the end of the line is dropped, here and on {ends - 1} more lines"


def _warn_at(text: str, position: int, message: str, hint: str, problems: Problems) -> None:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    column = position - start
    problems.warning(text.count("\n", 0, position) + 1, line, LineError(message, column, column + 1, hint))
