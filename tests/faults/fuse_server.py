"""A FUSE file system with one file that can hang: a script that takes the mount point and the text of the file.

It serves the file `crontab` and prints `ready` when it is mounted. The file can be appended to: with `full` in the text
not before the script gets USR1. With `hang` in the text it does not answer FLUSH, for which close(2) and so execve(2)
wait. While the script is stopped it answers nothing, like a network file system whose server has gone. The protocol is
that of linux/fuse.h, version 7.31.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

LOOKUP, GETATTR, OPEN, READ, WRITE, RELEASE, FLUSH, INIT, OPENDIR, INTERRUPT = 1, 3, 14, 15, 16, 18, 25, 26, 27, 36
FORGETS = (2, 42)
ROOT, FILE = 1, 2
FULL = b"full\n"
ENOENT, ENOSPC, ENOSYS = 2, 28, 38


def attributes(node: int, size: int) -> bytes:
    mode = 0o40755 if node == ROOT else 0o100755
    return struct.pack("<6Q10I", node, 0 if node == ROOT else size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode: int, node: int, body: bytes, text: bytearray) -> bytes | int | None:
    """Return the answer: data, an error number, or None for no answer."""
    if opcode == INIT:
        return struct.pack("<4I2H2I2H", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0).ljust(64, b"\0")
    if opcode == LOOKUP:
        known = body.rstrip(b"\0") == b"crontab"
        return struct.pack("<5Q", FILE, 0, 0, 0, 0) + attributes(FILE, len(text)) if known else ENOENT
    if opcode == GETATTR:
        return struct.pack("<2Q", 0, 0) + attributes(node, len(text))
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 0, 0, 0)
    if opcode == READ:
        start, size = struct.unpack_from("<8xQI", body)
        return bytes(text[start : start + size])
    if opcode == WRITE:
        start, size = struct.unpack_from("<8xQI", body)
        if text.startswith(FULL):
            return ENOSPC
        text[start : start + size] = body[40 : 40 + size]
        return struct.pack("<2I", size, 0)
    if opcode == RELEASE:
        return b""
    return None if opcode in (FLUSH, INTERRUPT, *FORGETS) else ENOSYS


def serve(device: int, text: bytearray) -> None:
    hangs = b"hang" in text
    while True:
        request = os.read(device, 1 << 20)
        opcode, unique, node = struct.unpack_from("<4xI2Q", request)
        reply = answer(opcode, node, request[40:], text)
        if opcode == FLUSH and not hangs:
            reply = b""
        if reply is not None:
            data, error = (b"", reply) if isinstance(reply, int) else (reply, 0)
            os.write(device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)
        if opcode == INIT:
            print("ready", flush=True)


def main() -> None:
    where, text = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    # It ends with the test, even when it is stopped: whatever waits for it would wait for ever, and `ps` with it.
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if libc.mount(b"hanging", os.fsencode(where), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    content = bytearray(text.encode())

    def make_room(signum: int, frame: object) -> None:
        content[: len(FULL)] = FULL.upper()

    signal.signal(signal.SIGUSR1, make_room)
    serve(device, content)


if __name__ == "__main__":
    main()
