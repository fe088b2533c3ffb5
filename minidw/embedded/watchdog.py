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

from minidw.embedded.account import open_private
from minidw.embedded.home import Cluster, find_cluster
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
    cluster = find_cluster(home)
    if cluster is not None and cluster.data.is_dir():
        stop_server(cluster.data)


def stop_server(data: Path) -> None:
    """Stop the server of a data directory: first as it should be done, then as it must."""
    socket_dir = socket_directory(data)
    for attempt in (signal.SIGINT, signal.SIGQUIT):
        # By directory, not only by pid file: a server that is just starting has none yet.
        for pid in postmasters(data):
            with suppress(ProcessLookupError):
                os.kill(pid, attempt)
        if wait_until(lambda: not postmasters(data), PATIENCE):
            break
    remove_socket_directory(socket_dir, data)


def watch(alone: int, clients: int) -> None:
    """Wait until the last client is gone, then stop the server: the body of the watchdog.

    It works in the data directory and is given its locks open: it loses neither where the home is moved or
    deleted.
    """
    fcntl.flock(clients, fcntl.LOCK_EX)
    stop_server(Path())
    # Its own lock is let go first: a client that comes then must see that there is no watchdog.
    os.close(alone)
    os.close(clients)


def ensure_watchdog(cluster: Cluster) -> None:
    """Start the watchdog of a cluster, if there is none; it inherits the lock that says so."""
    with (
        open_private(cluster.directory / "watchdog.lock") as alone,
        open_private(cluster.directory / "clients.lock") as clients,
    ):
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        body = "import sys; sys.path[:0] = sys.argv[4:]; from minidw.embedded.watchdog import watch;"
        inherited = (alone.fileno(), clients.fileno())
        # Where it works, a relative path would lead astray.
        path = [str(Path(__file__).parents[2]), *filter(os.path.isabs, sys.path)]
        watchdog = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                f"{body} watch(int(sys.argv[1]), int(sys.argv[2]))",
                *map(str, inherited),
                # For who looks at a list of processes.
                str(cluster.directory),
                *path,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=cluster.data,
            pass_fds=inherited,
            start_new_session=True,
        )
    watchdog.returncode = 0
