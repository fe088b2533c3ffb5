"""The address of a PostgreSQL server: reading it from the settings, and what of it may be shown."""

import re
from collections.abc import Mapping
from itertools import chain

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from minidw.errors import SettingsError

DRIVER = "postgresql+psycopg2"
SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PARTS = ("HOST", "PORT", "DB", "USER", "PASSWORD")

HARMLESS = frozenset((
    "host", "hostaddr", "port", "user", "dbname", "service", "passfile",
    "application_name", "fallback_application_name", "client_encoding", "target_session_attrs",
    "connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "load_balance_hosts", "require_auth", "channel_binding", "gssencmode",
    "sslmode", "sslnegotiation", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir",
    "sslcertmode", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version",
    "min_protocol_version", "max_protocol_version",
))  # fmt: skip
"""The options of libpq whose values may be seen by everybody. What is not among them, may not."""

NOT_OF_LIBPQ = frozenset(("dsn", "connection_factory", "cursor_factory", "async", "async_"))
"""Arguments of the driver, which mean something else to it than an option of the connection."""


def read_address(values: Mapping[str, str]) -> URL | None:
    """The server that the variables name: DATABASE_URL, or else POSTGRES_*. None where they name none.

    Raises SettingsError, whose text repeats nothing that could be a password.
    """
    if text := values.get("DATABASE_URL", "").strip():
        return read_url("DATABASE_URL", text)
    given = {part: values.get(f"POSTGRES_{part}", "") for part in PARTS}
    if not any(given.values()):
        return None
    parts = {part: value if part == "PASSWORD" else value.strip() for part, value in given.items()}
    sslmode = values.get("POSTGRES_SSLMODE", "").strip()
    if sslmode and sslmode not in SSLMODES:
        raise SettingsError(f"POSTGRES_SSLMODE: {sslmode!r} is none of {', '.join(SSLMODES)}")
    url = URL.create(
        DRIVER,
        username=parts["USER"] or "postgres",
        password=parts["PASSWORD"] or None,
        host=parts["HOST"] or "localhost",
        port=_port(parts["PORT"] or "5432"),
        database=parts["DB"] or parts["USER"] or "postgres",
        query={"sslmode": sslmode} if sslmode else {},
    )
    if "@" in parts["HOST"][1:]:
        raise SettingsError("POSTGRES_HOST is not the name of a host: it has an @")
    return read_url("POSTGRES_*", url)


def read_url(name: str, value: object) -> URL | None:
    """A URL, or its text, as one of minidw's driver. Raises SettingsError, which repeats nothing secret."""
    if value is None or value == "":
        return None
    url = _parsed(name, value) if isinstance(value, str) else value
    if not isinstance(url, URL):
        raise SettingsError(f"{name}: a URL is needed, not {type(value).__name__}")
    if url.drivername.lower() not in ("postgres", "postgresql", DRIVER):
        raise SettingsError(f"{name}: minidw speaks to PostgreSQL, not to {url.drivername!r}")
    _check(name, url)
    password = url.query.get("password")
    if isinstance(password, str):
        url = url.set(password=password).difference_update_query(["password"])
    return url.set(drivername=DRIVER)


def shown(url: URL) -> URL:
    """What of a URL may be shown: no password, and of the options those that are known to be harmless."""
    query = {name: value for name, value in url.query.items() if name in HARMLESS}
    return URL.create(
        url.drivername, url.username, host=url.host, port=url.port, database=url.database, query=query
    )


def hidden(url: URL) -> dict[str, str]:
    """The rest of it, as arguments of a connection."""
    options = {
        name: ",".join(values) for name, values in url.normalized_query.items() if name not in HARMLESS
    }
    return options if url.password is None else options | {"password": str(url.password)}


def describe(url: URL) -> str:
    """Which database it is, in a few words."""
    hosts = url.query.get("host") or url.host or "this machine"
    where = hosts if isinstance(hosts, str) else ",".join(hosts)
    return f"{url.database or url.username or 'the default'} on {where}{f':{url.port}' if url.port else ''}"


def without_secrets(text: str, url: URL) -> str:
    """A message of libpq without what it may repeat of what is hidden, names of unknown options included.

    A word of less than four letters, or one that the URL shows anyway, says nothing and is left.
    """
    seen = f"{shown(url)} password options"
    words = {word for pair in hidden(url).items() for word in pair if len(word) > 3 and word not in seen}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return text


def _parsed(name: str, text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(f"{name} is not a URL: postgresql://user:password@host:5432/name") from None
    # In the wrong place, the rest of a password would be taken for a host, a name or an option.
    if text.count("@") > 1 or "@" in f"{url.host}{url.database}":
        raise SettingsError(f"{name} has more than one @: write that of a password as %40")
    return url


def _check(name: str, url: URL) -> None:
    """Refuse what the driver would choke on, before it repeats it."""
    if refused := NOT_OF_LIBPQ & url.query.keys():
        raise SettingsError(f"{name}: {min(refused)} is no option of a connection")
    for option, value in url.query.items():
        if not isinstance(value, str) and option not in ("host", "port"):
            raise SettingsError(f"{name} gives an option twice{f': {option}' if option in HARMLESS else ''}")
    if url.port is not None and not 0 < url.port < 2**16:
        raise SettingsError(f"{name}: {url.port} is not a port number")
    names = [url.username, url.host, url.database]
    for option in ("user", "host", "hostaddr", "dbname"):
        names += url.normalized_query.get(option, ())
    if any("://" in text or "password=" in text for text in names if text):
        raise SettingsError(f"{name}: where a host, a user or a database should be named, there is more")
    options = chain(url.query, *url.normalized_query.values())
    text = "".join(map(str, (url.username, url.password, url.host, url.database, *options)))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{name} is not UTF-8") from None
    if "\0" in text:
        raise SettingsError(f"{name} contains a character of code 0")


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise SettingsError(f"POSTGRES_PORT: {text!r} is not a port number")
    return int(text)
