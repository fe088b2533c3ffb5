"""Settings come from the environment and .env; a mistake is one line that names the variable."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from minidw.errors import SettingsError
from minidw.settings import Settings


def test_an_empty_environment_means_the_embedded_database() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.url, settings.home) == (None, None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_postgresql_url_means_psycopg2(scheme: str) -> None:
    settings = Settings.from_env(
        {"DATABASE_URL": f"{scheme}://ada:s%40crt@db.example:5433/shop?sslmode=require"}
    )
    assert settings.url is not None
    assert settings.url.render_as_string(hide_password=False) == (
        "postgresql+psycopg2://ada:s%40crt@db.example:5433/shop?sslmode=require"
    )


def test_the_parts_of_a_url() -> None:
    settings = Settings.from_env(
        {"POSTGRES_HOST": "db", "POSTGRES_DB": "shop", "POSTGRES_USER": "ada", "POSTGRES_PASSWORD": "p@:/%"}
    )
    assert settings.url is not None
    assert (settings.url.host, settings.url.port, settings.url.database) == ("db", 5432, "shop")
    assert settings.url.password == "p@:/%"


def test_tls_can_be_lowered_beside_the_parts() -> None:
    settings = Settings.from_env({"POSTGRES_HOST": "db", "POSTGRES_SSLMODE": "require"})
    assert settings.url is not None
    assert settings.url.query == {"sslmode": "require"}


def test_the_environment_goes_before_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MAX_REJECT_RATIO=0.5\nORDER_DATE_MAX=2026-12-31\n")
    monkeypatch.setenv("MAX_REJECT_RATIO", "0.1")
    settings = Settings.from_env()
    assert (settings.max_reject_ratio, settings.order_date_max) == (Decimal("0.1"), date(2026, 12, 31))


def test_dotenv_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MINIDW_HOME=dw\nMAX_REJECT_RATIO=0.5\n")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    # A place in a file is seen from the file, one in the environment from where we are.
    assert Settings.from_env().home == tmp_path / "dw"
    assert Settings.from_env().max_reject_ratio == Decimal("0.5")
    monkeypatch.setenv("MINIDW_HOME", "dw")
    assert Settings.from_env().home == tmp_path / "sub" / "dw"


def test_a_home_is_written_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MINIDW_HOME=~/dw\n")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Settings.from_env().home == tmp_path / "me" / "dw"


URL_IN_FILE = "DATABASE_URL=postgresql://ada@file/shop\n"
PARTS_IN_FILE = "POSTGRES_HOST=file\nPOSTGRES_DB=shop\nPOSTGRES_USER=ada\n"


@pytest.mark.parametrize(
    ("in_file", "environment", "url"),
    [
        (URL_IN_FILE, {}, "ada@file/shop"),
        (URL_IN_FILE, {"DATABASE_URL": "postgresql://ada@env/shop"}, "ada@env/shop"),
        (URL_IN_FILE, {"DATABASE_URL": ""}, None),
        (URL_IN_FILE, {"POSTGRES_HOST": "env"}, "postgres@env:5432/postgres"),
        (URL_IN_FILE, {"POSTGRES_PASSWORD": "x"}, "ada@file/shop"),
        (URL_IN_FILE, {"MINIDW_HOME": "here"}, None),
        (PARTS_IN_FILE, {"POSTGRES_PASSWORD": "x"}, "ada:***@file:5432/shop"),
        (PARTS_IN_FILE, {"POSTGRES_DB": "test"}, "ada@file:5432/test"),
        (PARTS_IN_FILE, {"MINIDW_HOME": "here"}, None),
        ("MINIDW_HOME=here\n", {"POSTGRES_HOST": "env"}, "postgres@env:5432/postgres"),
    ],
)
def test_a_warehouse_named_in_the_environment_goes_before_one_in_dotenv(
    in_file: str, environment: dict[str, str], url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(in_file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = Settings.from_env().url
    assert (found and str(found).partition("://")[2]) == url


def test_dotenv_may_begin_with_a_byte_order_mark() -> None:
    Path(".env").write_text(URL_IN_FILE, encoding="utf-8-sig")
    assert Settings.from_env().url is not None


def test_what_others_write_into_dotenv_is_theirs() -> None:
    Path(".env").write_text(f"NOT OURS\nTHEIRS='unfinished\n{URL_IN_FILE}")
    assert Settings.from_env().url is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("SHOP=Größe".encode("latin-1"), r"/\.env is not UTF-8 \(byte 7\): save it as UTF-8"),
        ("DATABASE_URL=x".encode("utf-16"), r"/\.env is not UTF-8"),
        (b"A=1\nDATABASE_URL='postgresql://ada:canary@db/shop\n", r"/\.env:2: not of the form NAME=value"),
        (b"export POSTGRES_PASSWORD canary\n", r"/\.env:1: not of the form NAME=value"),
        (None, r"cannot read .*/\.env: Is a directory"),
    ],
)
def test_a_dotenv_that_cannot_be_read_is_one_line(content: bytes | None, message: str) -> None:
    if content is None:
        Path(".env").mkdir()
    else:
        Path(".env").write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.from_env()
    assert "canary" not in str(caught.value)


def test_an_environment_says_nothing_of_the_rules_it_leaves_out() -> None:
    settings = Settings.from_env({"SEGMENT_VIP": "1E+4", "ORDER_DATE_MAX": " "})
    assert settings.said == {"segment_vip": Decimal(10000)}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("order_date_min", ["0001-01-01", date(1, 1, 1), "00010101"]),
        ("order_date_max", ["9999-12-31", date(9999, 12, 31)]),
        (
            "revenue_statuses",
            ["pending,shipped", ["shipped", "pending"], " Shipped , PENDING,", {"pending", "shipped"}],
        ),
        ("segment_vip", ["20000", 20000, Decimal("2E+4"), "20000.0000"]),
    ],
)
def test_a_rule_has_one_value_however_it_is_written(name: str, written: list[Any]) -> None:
    values: list[dict[str, Any]] = [{name: text} for text in written]
    assert len({repr(getattr(Settings(**value), name)) for value in values}) == 1


def test_settings_of_a_caller_are_held_to_the_same() -> None:
    values: dict[str, Any] = {"revenue_statuses": ["paid"]}
    with pytest.raises(SettingsError, match="REVENUE_STATUSES: cannot understand 'paid'"):
        Settings(**values)


def test_revenue_statuses_are_normalised() -> None:
    settings = Settings.from_env({"REVENUE_STATUSES": "Delivered, pending"})
    assert settings.revenue_statuses == ("pending", "delivered")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL: minidw speaks to PostgreSQL, not to 'mysql'"),
        ({"DATABASE_URL": "postgresql+psycopg://x"}, "not to 'postgresql\\+psycopg'"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL is not a URL"),
        ({"DATABASE_URL": "postgresql://ada:canary@db:port/shop"}, "DATABASE_URL is not a URL"),
        ({"POSTGRES_PORT": "http"}, "POSTGRES_PORT: 'http' is not a port number"),
        ({"POSTGRES_HOST": "db", "POSTGRES_SSLMODE": "none"}, "POSTGRES_SSLMODE: 'none' is none of disable"),
        ({"ORDER_DATE_MIN": "01/02/2024"}, "ORDER_DATE_MIN: cannot understand '01/02/2024'"),
        ({"ORDER_DATE_MIN": "2026-01-01", "ORDER_DATE_MAX": "2025-12-31"}, "ORDER_DATE_MIN is after"),
        ({"ORDER_DATE_MAX": "10000-01-01"}, "ORDER_DATE_MAX: cannot understand '10000-01-01'"),
        ({"REVENUE_STATUSES": "paid"}, "REVENUE_STATUSES: cannot understand 'paid'"),
        ({"MAX_REJECT_RATIO": "20%"}, "MAX_REJECT_RATIO: cannot understand '20%'"),
        ({"MAX_REJECT_RATIO": "1.5"}, "MAX_REJECT_RATIO: cannot understand '1.5'"),
        ({"SEGMENT_VIP": "NaN"}, "SEGMENT_VIP: cannot understand 'NaN'"),
        ({"SEGMENT_VIP": "1e999999"}, "SEGMENT_VIP: cannot understand '1e999999'"),
        ({"SEGMENT_VIP": "0.00001"}, "SEGMENT_VIP: cannot understand '0.00001'"),
        (
            {"SEGMENT_VIP": "1", "SEGMENT_MEDIUM": "2"},
            "SEGMENT_VIP, SEGMENT_HIGH and SEGMENT_MEDIUM must not increase",
        ),
    ],
)
def test_a_mistake_names_its_variable(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.from_env(environment)
    assert "canary" not in str(caught.value)


def test_a_password_is_not_in_the_repr() -> None:
    assert "canary" not in repr(Settings.from_env({"DATABASE_URL": "postgresql://ada:canary@db/shop"}))


def test_values_may_be_given_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"url": "postgres://ada:x@db/shop", "home": "dw", "max_reject_ratio": 0.5}
    settings = Settings(**given)
    assert str(settings.url) == "postgresql+psycopg2://ada:***@db/shop"
    # A place is seen from where it was named.
    monkeypatch.chdir("/")
    assert (settings.home, settings.max_reject_ratio) == (tmp_path / "dw", Decimal("0.5"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "nonsense canary"}, "url is not a URL"),
        ({"url": make_url("postgresql+asyncpg://ada:canary@db/shop")}, "not to 'postgresql\\+asyncpg'"),
        ({"url": make_url("postgresql://db/shop?password=canary&password=x")}, "url gives an option twice"),
        ({"url": 5}, "url: a URL is needed, not int"),
        ({"home": 5}, "MINIDW_HOME: a path is needed, not 5"),
        ({"max_reject_ratio": 5}, "MAX_REJECT_RATIO: cannot understand 5"),
        ({"max_reject_ratio": None}, "MAX_REJECT_RATIO: cannot understand None"),
    ],
)
def test_settings_of_the_wrong_kind_are_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Settings(**given)
    assert "canary" not in str(caught.value)
