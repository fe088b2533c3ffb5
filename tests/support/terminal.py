"""Commands in a process of their own, with the standard streams that a hostile world gives them."""

import os
import pty
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from minidw.cli import main

INTERRUPT = "\x03"
"""What Ctrl-C sends."""
NO_MAIN = 99  # main raised
AT_EXIT = 120  # Python could not flush a stream when it exited


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


def closed(descriptor: int) -> None:
    os.close(descriptor)


def full(descriptor: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


def broken_pipe(descriptor: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, descriptor)


def terminal(columns: int) -> Callable[[int], None]:
    """A terminal of so many columns, whose output is thrown away."""

    def use(descriptor: int) -> None:
        _, follower = pty.openpty()
        os.environ["COLUMNS"] = str(columns)
        os.dup2(follower, descriptor)

    return use


def call(
    arguments: Sequence[str],
    *,
    stdout: Callable[[int], None] | None = None,
    stderr: Callable[[int], None] | None = None,
    encoding: str = "utf-8",
    before: Callable[[], object] | None = None,
) -> Outcome:
    """Execute a command in a process of its own; ``before`` is called there first."""
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory) / "out", Path(directory) / "err"
        pid = os.fork()
        if not pid:
            _be_a_process(arguments, (out, stdout), (err, stderr), encoding, before)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Outcome(code, out.read_bytes().decode(errors="replace"), err.read_bytes().decode())


def converse(arguments: Sequence[str], reply: str) -> Outcome:
    """Execute a command on a terminal of its own, and answer its question; what was shown is ``out``."""
    pid, terminal = pty.fork()
    if not pid:
        code = NO_MAIN
        # As Python starts, whatever the tests before have made of it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdin, sys.stdout, sys.stderr = (
            _opened(number, mode, "utf-8") for number, mode in enumerate(("r", "w", "w"))
        )
        try:
            code = main(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    shown = b""
    answered = False
    with suppress(OSError):  # how a terminal ends whose other end is closed
        while more := os.read(terminal, 10_000):
            shown += more
            if not answered and b"Type yes: " in shown:
                os.write(terminal, reply.encode())
                answered = True
            # An interrupt is lost where it meets a finalizer: one presses again.
            while answered and reply == INTERRUPT and not select.select([terminal], [], [], 1)[0]:
                os.write(terminal, reply.encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return Outcome(os.waitstatus_to_exitcode(status), shown.decode().replace("\r\n", "\n"), "")


def _opened(descriptor: int, mode: str, encoding: str) -> Any:
    errors = "backslashreplace" if descriptor == 2 else "strict"
    return os.fdopen(descriptor, mode, encoding=encoding, errors=errors, closefd=False)


def _be_a_process(
    arguments: Sequence[str],
    out: tuple[Path, Callable[[int], None] | None],
    err: tuple[Path, Callable[[int], None] | None],
    encoding: str,
    before: Callable[[], object] | None,
) -> None:
    code = NO_MAIN
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, (path, _) in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        # Only then: what is opened next gets the number of what is closed.
        for number, (_, use) in ((1, out), (2, err)):
            if use:
                use(number)
        # As Python opens them at its start; what is closed then is None.
        sys.stdin = _opened(0, "r", encoding)
        sys.stdout = _opened(1, "w", encoding) if out[1] is not closed else None
        sys.stderr = _opened(2, "w", encoding) if err[1] is not closed else None
        if before:
            before()
        code = main(arguments)
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except OSError:
                code = AT_EXIT
    except BaseException:
        err[0].write_text(traceback.format_exc())
    finally:
        os._exit(code)
