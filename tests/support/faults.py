"""Faults that strike around one statement of a run, COPY and COMMIT among them."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
from sqlalchemy import Engine

Strike = Callable[[psycopg2.extensions.connection], None]


class UnexpectedError(Exception):
    """What no library expects."""


def nothing(_: object) -> None:
    """No fault."""


def bug(_: object) -> None:
    """An exception of Python."""
    raise UnexpectedError


def interrupt(_: object) -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def cancel(conn: psycopg2.extensions.connection) -> None:
    """A cancelled query. The session cancels its own, so that it comes neither too early nor too late."""
    with conn.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
        cursor.execute("SELECT pg_cancel_backend(pg_backend_pid())")


def kill_backend(conn: psycopg2.extensions.connection) -> None:
    """A killed backend; returns when it is gone."""
    with suppress(psycopg2.Error), conn.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def kill_client(_: object) -> None:
    """The end of this process, by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fault:
    """Counts the statements of an engine, COPY and COMMIT among them, and strikes at one of them.

    commit: the number of the COMMIT of a run, its last statement
    """

    def __init__(self, engine: Engine) -> None:
        self.commit = 0
        self.arm(0)
        # Not by a listener: the engine has one that makes the connection, and no other is asked.
        self.connect = engine.dialect.connect
        engine.dialect.connect = self._connect  # type: ignore[method-assign]

    def arm(self, at: int, before: Strike = nothing, after: Strike = nothing) -> None:
        """Count from here on, and strike around the statement of this number."""
        self.seen, self.at, self.before, self.after = 0, at, before, after

    def step(self, conn: psycopg2.extensions.connection, statement: Callable[[], None]) -> None:
        """A statement and what befalls it."""
        self.seen += 1
        strikes = self.seen == self.at
        if strikes:
            self.before(conn)
        statement()
        if strikes:
            self.after(conn)

    def _connect(self, *arguments: Any, **options: Any) -> Any:
        step = self.step

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, *arguments: Any) -> None:
                step(self.connection, lambda: super(Cursor, self).execute(*arguments))

            def copy_expert(self, *arguments: Any) -> None:
                step(self.connection, lambda: super(Cursor, self).copy_expert(*arguments))

        class Connection(psycopg2.extensions.connection):
            def commit(self) -> None:
                step(self, super().commit)

        watched = {"connection_factory": Connection, "cursor_factory": Cursor}
        return self.connect(*arguments, **options | watched)
