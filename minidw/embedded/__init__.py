"""The embedded PostgreSQL: a server of one's own without installing or operating one."""

from minidw.embedded.cluster import Server, find_binaries, start
from minidw.embedded.watchdog import stop

__all__ = ["Server", "find_binaries", "start", "stop"]
