"""A person at a terminal: runs a command in one, and answers its question.

In: the words of the question, the answer, a command. Out: all that the command showed, and its exit code.
"""

import fcntl
import os
import pty
import struct
import sys
import termios
import time

SECONDS_MAX = 120


def main() -> None:
    question, answer, *command = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
    shown, answered = b"", False
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # The command closed its side.
            break
        if not piece:
            break
        shown += piece
        if not answered and question.encode() in shown:
            os.write(terminal, answer.encode() + b"\n")
            answered = True
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    if not answered:
        raise SystemExit(f"nobody asked {question!r}")
    _, status = os.waitpid(child, 0)
    raise SystemExit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
