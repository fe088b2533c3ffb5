"""What a program gives to be loaded: however it comes, it is surveyed and hashed as the same bytes."""

import base64
import bz2
import csv
import gzip
import importlib
import io
import lzma
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from minidw import BadFileError, Feed, SettingsError
from minidw.feed.survey import survey
from tests.support.feeds import DEFAULTS
from tests.support.texts import FILE, read

ORDER = {
    "order_id": "1",
    "order_timestamp": datetime(2024, 5, 1, 10),
    "customer_id": "ada",
    "product_id": "p1",
    "category": None,
    "price": Decimal("9.50"),
    "quantity": 2,
    "status": "shipped",
}


# The libraries are imported by the tests of them: they take seconds.
def pandas(*rows: Any) -> Any:
    return importlib.import_module("pandas").DataFrame(rows)


def polars(*rows: Any) -> Any:
    return importlib.import_module("polars").DataFrame(rows)


def pyarrow(*rows: Any) -> Any:
    return importlib.import_module("pyarrow").Table.from_pylist(rows)


def duckdb(*rows: Any) -> Any:
    return importlib.import_module("duckdb").from_arrow(pyarrow(*rows))


def values(**given: Any) -> list[str]:
    """The last row of the CSV that a mapping becomes."""
    text = read(survey([DEFAULTS | given])).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))[-1]


@pytest.mark.parametrize(
    "made",
    [
        lambda row: [row],
        lambda row: iter([row]),
        pyarrow,
        lambda row: pyarrow(row).to_reader(),
        pandas,
        lambda row: pandas(row, row)[1:],  # with an index of its own
        polars,
        duckdb,
    ],
)
def test_the_same_rows_are_the_same_bytes(made: Callable[..., Any]) -> None:
    file = survey(made(ORDER), name="shop")
    assert (file.name, file.rows) == ("shop", 1)
    assert read(file).endswith(b"\r\n1,2024-05-01 10:00:00,ada,p1,,9.50,2,shipped")
    assert file.sha256 == survey([ORDER]).sha256


class Status(StrEnum):
    PAID = "delivered"


def test_a_value_is_written_with_all_that_it_says() -> None:
    said = values(
        order_id=UUID(int=1),
        order_timestamp=datetime(2024, 5, 1, 10, 0, 0, 250, tzinfo=UTC),
        product_id=True,
        category='a "b", c\r\nd',
        price=Decimal("1E+2"),
        quantity=2.0,
        status=Status.PAID,
        day=date(2024, 5, 1),
        tiny=1e-7,
    )
    assert said == [
        *("00000000-0000-0000-0000-000000000001", "2024-05-01 10:00:00.000250+00:00", "c1", "true"),
        *('a "b", c\r\nd', "100", "2.0", "delivered", "2024-05-01", "0.0000001"),
    ]


def test_numbers_have_the_decimal_mark_of_the_feed() -> None:
    file = survey([ORDER | {"price": Decimal("1.500")}], Feed(decimal=",", delimiter=";", encoding="utf-16"))
    assert b',"1,500",' in read(file)


@settings(max_examples=30)
@given(st.lists(st.fixed_dictionaries({"category": st.text(st.characters(codec="utf-8"))}), min_size=1))
def test_any_text_comes_through(rows: list[dict[str, str]]) -> None:
    if any("\0" in row["category"] for row in rows):
        with pytest.raises(BadFileError, match="NUL_BYTE"):
            survey([DEFAULTS | row for row in rows])
        return
    text = read(survey([DEFAULTS | row for row in rows])).decode()
    _, *found = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert [row[4] for row in found] == [row["category"] for row in rows]


def test_a_row_may_lack_what_the_first_has() -> None:
    assert read(survey([DEFAULTS | {"note": "x"}, {"order_id": "2"}])).endswith(b"\r\n2,,,,,,,,")


@pytest.mark.slow
def test_a_stream_of_any_length_takes_the_same_memory() -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        file = survey({**DEFAULTS, "order_id": str(number)} for number in range(rows))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert file.rows == rows
        return used

    peak(1)  # what is imported or compiled at first use
    assert peak(30_000) < peak(3_000) * 1.5


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (FILE, None),
        (bytearray(FILE), None),
        (memoryview(FILE), None),
        (io.BytesIO(b"..." + FILE), None),
        (io.StringIO(FILE.decode()), None),
        (gzip.compress(FILE), "orders.csv.gz"),
        (io.BytesIO(bz2.compress(FILE)), "orders.csv.bz2"),
        (lzma.compress(FILE), "orders.csv.xz"),
        (gzip.GzipFile("orders.csv.gz", fileobj=io.BytesIO(gzip.compress(FILE))), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bytes_are_those_of_a_file(content: Any, name: str | None, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(FILE)
    if isinstance(content, io.BytesIO) and name is None:
        content.seek(3)  # it is read from where it stands
    file = survey(content, name=name)
    assert (file.sha256, file.size) == (survey(tmp_path / "orders.csv").sha256, len(FILE))
    assert read(file) == read(file) == FILE.rstrip()


def test_text_is_in_the_encoding_of_the_feed(tmp_path: Path) -> None:
    content = FILE.decode().replace("books", "b\u00fccher")
    (tmp_path / "orders.csv").write_text(content, encoding="latin-1")
    feed = Feed(encoding="latin-1")
    assert survey(io.StringIO(content), feed).sha256 == survey(tmp_path / "orders.csv", feed).sha256


def test_a_file_object_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(FILE)
    with (tmp_path / "orders.csv").open("rb") as file:
        assert survey(file).name == "orders.csv"


class Upload:
    async def read(self, _size: int) -> bytes:
        return FILE


@pytest.mark.parametrize(
    ("nothing", "says"),
    [
        (5, "a data frame is needed, not int"),
        ({"order_id": ["1"]}, "a data frame is needed, not dict"),
        (Upload(), r"read\(\) of Upload must be awaited: give its bytes"),
    ],
)
def test_what_is_nothing_to_load_is_refused(nothing: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        survey(nothing)


def closed() -> io.BytesIO:
    file = io.BytesIO(FILE)
    file.close()
    return file


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (closed(), "file: UNREADABLE: I/O operation on closed file"),
        (io.TextIOWrapper(io.BytesIO(b"\xff")), "file: UNREADABLE: 'utf-8' codec can't decode byte 0xff"),
        (
            gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(FILE)[:-9])),
            "file: TRUNCATED: the compressed file breaks off",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(fault: Any, says: str) -> None:
    with pytest.raises(BadFileError, match=f"^{says}"):
        survey(fault)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda: polars(ORDER)["quantity"], "no table for Arrow: Cannot import schema"),
        (lambda: pandas({"order_id": 1}, {"order_id": "x"}), "no table for Arrow: .*Conversion failed"),
        (
            lambda: pandas({"x": importlib.import_module("pandas").Timestamp(1)}),
            r"no table for Arrow: Casting from timestamp\[ns\] .* would lose data",
        ),
        (lambda: pyarrow({"tags": [1]}), r"row 1: \[1\] is no text, number, time or None"),
    ],
)
def test_what_is_no_frame_of_rows_is_refused(fault: Callable[[], Any], says: str) -> None:
    with pytest.raises(BadFileError, match=f"^frame: NOT_A_ROW: {says}"):
        survey(fault())


def test_the_fault_of_an_iterator_of_the_callers_own_is_its_own() -> None:
    with pytest.raises(UnicodeError, match="mine"):
        survey(failing())


def failing() -> Iterator[dict[str, str]]:
    yield DEFAULTS
    raise UnicodeError("mine")


ACCOUNT = "Basic " + base64.b64encode(b"ada:canary5f3a9c").decode()


class Shop(BaseHTTPRequestHandler):
    """An export at a server: for who has an account, after a redirection, or broken off."""

    def do_GET(self) -> None:
        host = self.headers["Host"].replace("localhost", "127.0.0.1")
        known = self.headers["Authorization"] == ACCOUNT
        answers: dict[str, Callable[[], None]] = {
            "/orders.csv.gz": lambda: self.answer(gzip.compress(FILE)) if known else self.send_error(401),
            "/moved.csv": lambda: self.redirect("/open.csv"),
            "/elsewhere.csv": lambda: self.redirect(f"https://{host}/open.csv"),
            "/open.csv": lambda: self.send_error(400) if known else self.answer(FILE),
            "/insecure.csv": lambda: self.redirect("http://127.0.0.1/orders.csv"),
            "/short.csv": lambda: self.answer(FILE, length=len(FILE) + 1),
        }
        path = self.path.split("?")[0]
        answers.get(path, lambda: self.send_error(404))()

    def answer(self, content: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a certificate that this process trusts."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    trusted = tmp_path_factory.mktemp("authority") / "certificates.pem"
    authority.cert_pem.write_to_path(str(trusted))
    server = HTTPServer(("127.0.0.1", 0), Shop)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(trusted))
        yield f"localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_export_is_fetched_by_an_account_that_is_shown_nowhere(shop: str) -> None:
    file = survey(f"https://ada:canary5f3a9c@{shop}/orders.csv.gz?signature=canary5f3a9c")
    assert (file.name, read(file)) == ("orders.csv.gz", FILE.rstrip())
    with pytest.raises(BadFileError, match=r"^orders\.csv\.gz: UNREADABLE: .* 401 Unauthorized$"):
        survey(f"https://ada:canary5f3a9d@{shop}/orders.csv.gz")


@pytest.mark.parametrize("path", ["moved.csv", "elsewhere.csv"])
def test_an_export_is_followed_and_the_account_told_to_nobody_else(shop: str, path: str) -> None:
    assert read(survey(f"https://ada:canary5f3a9c@{shop}/{path}")) == FILE.rstrip()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://{}/gone.csv", "gone.csv: NOT_FOUND: the server says 404 Not Found"),
        ("https://{}/short.csv", "short.csv: TRUNCATED: the server broke off"),
        ("https://{}/insecure.csv", "insecure.csv: UNREADABLE: it redirects to another place than https://"),
        ("https://127.0.0.1:1/orders.csv", "orders.csv: UNREADABLE: Connection refused"),
        ("https://a:b:c/", "a: UNREADABLE: this is no URL"),
        (
            "http://localhost/orders.csv",
            "orders.csv: UNREADABLE: minidw reads https:// and s3://, not http://",
        ),
    ],
)
def test_what_cannot_be_fetched_is_refused(shop: str, url: str, says: str) -> None:
    with pytest.raises(BadFileError) as caught:
        survey(url.format(shop))
    assert str(caught.value) == says


def test_a_server_that_nobody_vouches_for_is_refused(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(BadFileError, match=r"UNREADABLE: \[SSL: CERTIFICATE_VERIFY_FAILED\]"):
        survey(f"https://{shop}/orders.csv.gz")
