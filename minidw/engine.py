"""An engine on the database of the settings, which nothing in the environment redirects."""

import getpass
import ipaddress
import os
import shutil
import subprocess
import weakref
from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import URL, Engine

from minidw.settings import Settings


def create_engine(settings: Settings | None = None) -> Engine:
    """An engine on the database of the settings; starts the embedded PostgreSQL where they name no other.

    The embedded server runs for as long as some process holds such an engine. Raises DatabaseError.
    """
    settings = settings or Settings.from_env()
    server = None
    url = settings.url
    if url is None:
        from minidw import embedded

        server = embedded.start(settings.home)
        url = server.url
    engine = sqlalchemy.create_engine(
        url.difference_update_query(["sslpassword"]),  # which is shown wherever the URL is
        isolation_level="READ COMMITTED",
        connect_args=connect_arguments(url),
    )
    if server is not None:
        weakref.finalize(engine, server.close)
    return engine


def connect_arguments(url: URL) -> dict[str, str]:
    """What the URL leaves open, so that no PG* variable of the environment decides it; credentials aside.

    Where the host is not this machine, TLS with a verified certificate is the default.
    """
    query = url.query
    hosts = query.get("host", url.host or "")
    user = url.username or getpass.getuser()
    local = all(map(_is_local, hosts.split(",") if isinstance(hosts, str) else hosts))
    defaults = {
        "host": url.host or "",
        "hostaddr": "",
        "port": str(url.port or 5432),
        "user": user,
        "dbname": url.database or user,
        "sslmode": "prefer" if local else "verify-full",
        "target_session_attrs": "any",
        "client_encoding": "utf8",
        "application_name": "minidw",
    }
    options = f"{query.get('options', '')} -c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO,YMD"
    arguments = {name: value for name, value in defaults.items() if name not in query} | {"options": options}
    if isinstance(secret := query.get("sslpassword"), str):
        arguments["sslpassword"] = secret
    return arguments


def _is_local(host: str) -> bool:
    """This machine: a socket, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def psql(arguments: Sequence[str] = (), *, settings: Settings | None = None) -> int:
    """Open psql on the database of the settings; returns its exit code."""
    settings = settings or Settings.from_env()
    engine = create_engine(settings)
    program = shutil.which("psql") if settings.url is not None else None
    if program is None:
        from minidw import embedded

        program = str(embedded.find_binaries() / "psql")
    url = engine.url
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["PGSSLMODE"] = connect_arguments(url).get("sslmode", "")
    if url.password is not None:
        # In the environment, where only its owner can read it, not among the arguments.
        environment["PGPASSWORD"] = str(url.password)
    target = sqlalchemy.URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    )
    return subprocess.call([program, "--dbname", target.render_as_string(), *arguments], env=environment)
