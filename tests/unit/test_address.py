"""What is known to be harmless in the URL of a server is shown, and nothing else of it."""

import os

import pytest
from sqlalchemy import make_url

from minidw.address import describe, hidden, read_address, shown, without_secrets
from minidw.errors import SettingsError

CANARY = "canary5f3a9c"
SERVER = "postgresql://ada:s3cret@db.example:5433/shop"


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("sslmode=require&application_name=etl&connect_timeout=3", "sslmode=require&application_name=etl"),
        (f"sslpassword={CANARY}&sslmode=require", "sslmode=require"),
        (f"oauth_client_secret={CANARY}&oauth_client_id=me", ""),
        (f"scram_client_key={CANARY}", ""),
        (f"options=-c%20app.token%3D{CANARY}", ""),
        (f"passwrod={CANARY}", ""),
        (f"{CANARY}=x", ""),
        (f"PASSWORD={CANARY}", ""),
        (f"password={CANARY}", ""),
    ],
)
def test_of_the_options_the_known_ones_are_shown(query: str, seen: str) -> None:
    url = read_address({"DATABASE_URL": f"{SERVER}?{query}"})
    assert url is not None
    text = repr(shown(url))
    assert set(seen.split("&")) <= set(text.partition("?")[2].split("&"))
    assert CANARY not in text
    assert "s3cret" not in shown(url).render_as_string(hide_password=False)


def test_what_is_hidden_still_reaches_the_server() -> None:
    url = make_url(f"{SERVER}?sslpassword=a%20b&sslmode=require&options=-cx%3Dy")
    assert hidden(url) == {"password": "s3cret", "sslpassword": "a b", "options": "-cx=y"}


def test_a_message_repeats_no_secret() -> None:
    url = make_url(f"{SERVER}?{CANARY}1={CANARY}2&sslmode=require")
    message = f'invalid option "{CANARY}1" ({CANARY}2, s3cret) of shop on db.example'
    assert without_secrets(message, url) == 'invalid option "***" (***, ***) of shop on db.example'


def test_a_password_that_is_the_name_of_the_database_hides_no_message() -> None:
    url = make_url("postgresql://ada:shop@db/shop")
    assert without_secrets('database "shop" does not exist', url) == 'database "shop" does not exist'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SERVER, "shop on db.example:5433"),
        ("postgresql:///shop?host=/run/pg", "shop on /run/pg"),
        ("postgresql://ada@/", "ada on this machine"),
        (f"postgresql://ada:{CANARY}@db/shop?token={CANARY}", "shop on db"),
    ],
)
def test_a_database_in_a_few_words(text: str, words: str) -> None:
    assert describe(make_url(text)) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"postgresql://ada:x@{CANARY}/y@db/shop", "more than one @"),
        (f"postgresql://ada:x@y?{CANARY}@db/shop", "more than one @"),
        (f"postgresql://a/da:{CANARY}@db/shop", "more than one @"),
        (f"postgresql://ada@db/shop?password={CANARY}&password={CANARY}", "an option twice"),
        (f"postgresql://ada@db/shop?{CANARY}=1&{CANARY}=2", "an option twice"),
        ("postgresql://ada@db/shop?sslmode=require&sslmode=disable", "an option twice: sslmode"),
        (f"postgresql://ada@db/shop?dsn=password%3D{CANARY}", "dsn is no option"),
        (f"postgresql://ada:{CANARY}%00@db/shop", "a character of code 0"),
        (f"postgresql://ada:{CANARY}@db:99999/shop", "99999 is not a port"),
        (os.fsdecode(f"postgresql://ada:{CANARY}".encode() + b"\xff@db/shop"), "not UTF-8"),
        (f"postgresql://ada@db/shop?host=postgresql://ada:{CANARY}%40db/shop", "there is more"),
        (f"postgresql://db/password={CANARY}", "there is more"),
        (f"mysql://ada:{CANARY}@db/shop", "not to 'mysql'"),
        (f"ada:{CANARY}", "is not a URL"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_unseen(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read_address({"DATABASE_URL": text})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("HOST", f"postgresql://ada:{CANARY}@db/shop"),
        ("HOST", f"ada:{CANARY}@db"),
        ("DB", f"postgresql://ada:{CANARY}@db/shop"),
        ("DB", f"dbname=shop password={CANARY}"),
        ("USER", f"postgresql://ada:{CANARY}@db/shop"),
    ],
)
def test_a_whole_url_is_not_a_part_of_one(part: str, value: str) -> None:
    with pytest.raises(SettingsError, match="POSTGRES_") as caught:
        read_address({f"POSTGRES_{part}": value})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1", "²", "1" * 5000, "5432.0"])
def test_a_port_is_a_port(port: str) -> None:
    with pytest.raises(SettingsError, match="is not a port number"):
        read_address({"POSTGRES_PORT": port})
