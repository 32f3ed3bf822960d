"""Connections to mail servers that cannot hold gcron: with a deadline, and a limit for what they say. For threads."""

from __future__ import annotations

import errno
import smtplib
import socket
from contextlib import suppress
from typing import BinaryIO

from gcron.notify.deadline import watch

__all__ = ["Connection", "SecureConnection"]

# Bytes of all answers: a few lines for each step. `smtplib` keeps an answer whole, and one may have lines without end.
_MOST_SAID = 64 * 1024


class Connection(smtplib.SMTP):
    """Plain, until STARTTLS."""

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer, as `smtplib` does, from a file that ends."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock.makefile("rb"))
        return super().getreply()

    def __exit__(self, *error: object) -> None:
        """Say good-bye. Whatever the server answers to that, it has taken the mail: a second one would be too many."""
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
        self.close()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return watch(super()._get_socket(host, port, timeout))  # type: ignore[misc]


class SecureConnection(smtplib.SMTP_SSL, Connection):
    """TLS from the first byte on. In this order of classes, the connection is watched before TLS begins."""


class _Answers:
    """What a server says."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_SAID

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(errno.EMSGSIZE, "it says too much")
        return line

    def close(self) -> None:
        self._file.close()
