"""Run one client and measure it: `python -I -S launcher.py STDIN SINK COMMAND...`. Prints one line of figures.

A program of its own, because a child inherits the greatest resident set of the parent that it was forked from: this one
has some 9 MB, which is therefore the least that it can report, also of a client in C.

STDIN is `null`, `zeros:N` (a pipe with N zero bytes) or a file's path; SINK is `null`, `pipe` (drained and counted
here), `keep` (the same, and printed) or `pty` (a terminal of 24 x 80 that is the client's own, drained and counted).

Printed: wall seconds, CPU seconds, greatest resident set in KiB, bytes at the sink, exit code, and for `keep` the first
bytes that came, in hexadecimal.
"""

import fcntl
import os
import struct
import sys
import termios
import time

PIECE = 65536


def main(stdin: str, sink: str, command: list[str]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    source, feeder = _source(stdin, null)
    near = far = null
    if sink == "pty":
        near, far = os.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        source = far
    elif sink != "null":
        near, far = os.pipe()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        if sink == "pty":
            os.setsid()
            fcntl.ioctl(far, termios.TIOCSCTTY, 0)
            os.dup2(far, 2)
        os.dup2(source, 0)
        os.dup2(far, 1)
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    for fd in {source, far} - {null}:
        os.close(fd)
    count, kept = (0, b"") if sink == "null" else _drain(near, null if sink == "pipe" else -1)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    if feeder:
        os.waitpid(feeder, 0)
    code = os.waitstatus_to_exitcode(status)
    print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss, count, code, kept.hex())


def _source(stdin: str, null: int) -> tuple[int, int]:
    if stdin == "null":
        return null, 0
    if not stdin.startswith("zeros:"):
        return os.open(stdin, os.O_RDONLY), 0
    read, write = os.pipe()
    feeder = os.fork()
    if feeder == 0:
        os.close(read)
        left, zeros = int(stdin[6:]), bytes(PIECE)
        try:
            while left:
                left -= os.write(write, zeros[:left])
        finally:
            os._exit(0)
    os.close(write)
    return read, feeder


def _drain(fd: int, null: int) -> tuple[int, bytes]:
    count, kept = 0, b""
    while True:
        try:
            # Nothing is copied where nobody looks: what is measured is the client.
            n = os.splice(fd, null, 1 << 20) if null >= 0 else 0
            if null < 0:
                data = os.read(fd, PIECE)
                n = len(data)
                kept = (kept + data)[:4096]
        except OSError:
            break  # a terminal whose other side is gone
        if not n:
            break
        count += n
    return count, kept


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
