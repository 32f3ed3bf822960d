r"""Text that is safe to show: what a terminal or a reader would act upon is escaped (`\x1b`, `\u202e`).

All text of others goes through here before people see it: output of jobs, names of files, answers of a gcron.
"""

from __future__ import annotations

import re

__all__ = ["escape", "escape_line"]

# Control characters, the direction of text, ends of lines and paragraphs (U+2028, U+2029), marks and tags without a
# shape, and halves of characters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def escape(text: str) -> str:
    """Return the text with everything escaped that a terminal could act upon, but newlines and tabs.

    A byte that was no UTF-8 (PEP 383) is shown as that byte: `\\xff`.
    """
    return _UNSAFE.sub(_escape_one, text)


def escape_line(text: str) -> str:
    """Return the text as `escape` does, with its newlines escaped, too: it stays one line."""
    return escape(text).replace("\n", "\\x0a")


def _escape_one(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
