"""Connecting: an engine on the database of the settings, which nothing in the environment redirects."""

import getpass
import ipaddress
import os
import sys
import weakref
from typing import Any

import psycopg2
import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.orm import Session, scoped_session

from minidw.address import DRIVER, shown, without_secrets
from minidw.errors import SettingsError
from minidw.settings import Settings

Target = Engine | Connection | Session
"""Where a function works: an engine, or the caller's open transaction."""

Bind = Target | scoped_session[Any] | None
"""The same, or the Session of a registry; nothing: the settings decide.

Threads may share an engine, or name none; a Connection or Session belongs to one of them at a time.
"""


def create_engine(settings: Settings | None = None, *, create: bool = True) -> Engine:
    """An engine on the database of the settings; starts the embedded PostgreSQL where they name no other.

    The embedded server is that of the nearest ``.minidw``, in the working directory or above it, and runs
    for as long as some process holds such an engine.

    The sessions of the engine have the ``search_path`` pg_catalog: name a table with its schema. Its ``url``
    is what may be shown of it; passwords and the like stay with the connections.

    Args:
        settings: those of the environment by default
        create: where there is no embedded warehouse yet, make one (True); otherwise that is an error, which
            says where it was looked for

    Returns:
        An engine of psycopg2 whose transactions are READ COMMITTED.

    Raises:
        SettingsError: a setting cannot be understood
        DatabaseError: the embedded PostgreSQL cannot be started or found; a server is met later, when the
            engine connects

    Example:
        >>> engine = minidw.create_engine()
        >>> with engine.connect() as conn:
        ...     conn.scalar(select(minidw.CustomerLtv.lifetime_value).filter_by(customer_id="bob"))
        Decimal('151.0000')
    """
    settings = settings or Settings.from_env()
    server = None
    url = settings.url
    if url is None:
        from minidw.embedded import cluster

        server = cluster.start(settings.home, create=create)
        url = server.url
    arguments = connect_arguments(url)
    engine = sqlalchemy.create_engine(shown(url), isolation_level="READ COMMITTED", connect_args=arguments)
    _keep_secrets(engine, url)
    _keep_to_its_process(engine)
    if server is not None:
        weakref.finalize(engine, server.close)
    return engine


class _Unnamed(psycopg2.extensions.connection):
    """A connection that does not tell in logs how it was made, save the password, as the driver's own do."""

    def __repr__(self) -> str:
        return f"<connection {id(self):#x}, closed: {self.closed}>"

    __str__ = __repr__


def _keep_secrets(engine: Engine, url: URL) -> None:
    """Let no message about a connection that failed repeat what it was to be made with."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **options, connection_factory=_Unnamed)
        except psycopg2.Error as error:
            raise type(error)(without_secrets(str(error), url)) from None


def _keep_to_its_process(engine: Engine) -> None:
    """After a fork the child connects anew: two processes on one connection read each other's answers."""

    @event.listens_for(engine, "connect")
    def connect(_: Any, record: Any) -> None:
        record.info["pid"] = os.getpid()

    @event.listens_for(engine, "checkout")
    def checkout(_: Any, record: Any, fairy: Any) -> None:
        if record.info["pid"] != os.getpid():
            # Let go of, not closed: that would end the parent's session.
            record.dbapi_connection = fairy.dbapi_connection = None
            raise DisconnectionError("this connection is the parent's")


def connect_arguments(url: URL) -> dict[str, str]:
    """What a connection is made with: the URL, and what it leaves open, so that no PG* variable decides it.

    Where the host is not this machine, TLS with a verified certificate is the default.
    """
    try:
        _, translated = url.set(drivername=DRIVER).get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise SettingsError("the URL of the database names several hosts in a way that is none") from None
    given = {name: str(value) for name, value in translated.items()}
    user = given.get("user") or _own_name()
    defaults = {
        "host": "",
        "hostaddr": "",
        "port": "5432",
        "user": user,
        "dbname": user,
        "sslmode": "prefer" if all(map(_is_local, given.get("host", "").split(","))) else "verify-full",
        "target_session_attrs": "any",
        "application_name": "minidw",
    }
    options = f"{given.get('options', '')} -c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO,YMD"
    return defaults | given | {"client_encoding": "utf8", "options": options}


def _own_name() -> str:
    """The name of the account, which libpq would ask for as well."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise SettingsError(
            f"user id {os.geteuid()} has no account here: name the user of the database in its URL"
        ) from None


def _is_local(host: str) -> bool:
    """This machine: a socket, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
