"""Stopping the embedded PostgreSQL when its last client is gone.

Every client holds a shared lock on ``clients.lock``. A watchdog process waits for that lock exclusively:
it gets it when the last client is gone, however it went, and stops the server before it lets go.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from minidw.embedded.account import account_for, open_private, place
from minidw.embedded.postmaster import (
    PATIENCE,
    postmasters,
    remove_socket_directory,
    socket_directory,
    wait_until,
)

if TYPE_CHECKING or sys.platform != "win32":
    import fcntl


def stop(home: Path) -> None:
    """Stop the server that lives in ``home``, whoever uses it."""
    data = place(home, account_for(home)) / "pgdata"
    socket_dir = socket_directory(data)
    for attempt in (signal.SIGINT, signal.SIGQUIT):
        # By directory, not only by pid file: a server that is just starting has none yet.
        for pid in postmasters(data):
            with suppress(ProcessLookupError):
                os.kill(pid, attempt)
        if wait_until(lambda: not postmasters(data), PATIENCE):
            break
    remove_socket_directory(socket_dir, data)


def watch(home: Path) -> None:
    """Wait until the last client of ``home`` is gone, then stop the server: the body of the watchdog."""
    # The watchdog's lock is let go first: a client that comes then must see that there is no watchdog.
    with open_private(home / "clients.lock") as clients, open_private(home / "watchdog.lock") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(clients, fcntl.LOCK_EX)
        stop(home)


def ensure_watchdog(home: Path) -> None:
    with open_private(home / "watchdog.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    body = "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path; "
    watchdog = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-c",
            body + "from minidw.embedded.watchdog import watch; watch(Path(sys.argv[1]))",
            str(home),
            *map(str, sys.path),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    watchdog.returncode = 0
