"""Exports in S3: listed and read over HTTP, from where a broken connection left off, each loaded once."""

import gzip
import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from minidw import BadFileError
from minidw.feed.survey import find_files, survey
from tests.support.buckets import Line, s3_over_http
from tests.support.servers import CANARY
from tests.support.terminal import Cli
from tests.support.texts import FILE, HEADER, read, row

pytestmark = pytest.mark.slow

LONG = FILE + b"".join(row(b"%d" % number) for number in range(2, 20_000))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with s3_over_http() as (address, line):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, CANARY)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield line


@pytest.fixture
def bucket(line: Line) -> Any:
    bucket = importlib.import_module("boto3").resource("s3").Bucket("exports")
    bucket.create()
    return bucket


def test_a_key_is_no_path(bucket: Any) -> None:
    bucket.put_object(Key="2024/orders [1] #1?.csv.gz", Body=gzip.compress(FILE))
    file = survey("s3://exports/2024/orders [1] #1?.csv.gz")
    assert (file.name, read(file)) == ("orders [1] #1?.csv.gz", FILE.rstrip())


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("s3://exports/2024/*.csv.gz", ["2024/a.csv.gz", "2024/b.csv.gz"]),
        ("s3://exports/*/b.*", ["2025/b.csv", "2024/b.csv.gz"]),
        ("s3://exports/2024/", ["2024/a.csv.gz", "2024/b.csv.gz"]),
        ("s3://exports/2025", ["2025"]),  # a key, taken as it stands
        ("s3://exports", ["top.csv"]),
    ],
)
def test_what_a_pattern_or_a_prefix_names(bucket: Any, argument: str, found: list[str]) -> None:
    keys = ["2024/", "2024/.a.csv", "2024/a.csv.gz", "2024/b.csv.gz", "2024/notes.txt", "2024/c/d.csv.gz"]
    for key in [*keys, "2025/b.csv", "top.csv"]:
        bucket.put_object(Key=key, Body=b"")
    assert find_files([argument]) == [f"s3://exports/{key}" for key in found]


def test_more_than_a_page_of_objects_is_listed(bucket: Any) -> None:
    for number in range(1001):
        bucket.put_object(Key=f"{number:04}.csv", Body=b"")
    assert len(find_files(["s3://exports/*.csv"])) == 1001


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("s3://exports/gone.csv", "gone.csv: NOT_FOUND: NoSuchKey: "),
        ("s3://nowhere/gone.csv", "gone.csv: NOT_FOUND: NoSuchBucket: "),
        ("s3://nowhere/*.csv", "s3://nowhere/*.csv: NOT_FOUND: NoSuchBucket: "),
        ("s3://exports/*.csv", "s3://exports/*.csv: NOT_FOUND: no object matches"),
        ("s3://exports/2024/", "s3://exports/2024/: NOT_FOUND: no .csv or .tsv file in this directory"),
        ("s3://No such/*", "s3://No such/*: UNREADABLE: Parameter validation failed"),
    ],
)
def test_what_is_not_there_is_a_line(bucket: Any, cli: Cli, argument: str, says: str) -> None:
    outcome = cli("run", argument)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"minidw: {says}" in outcome.err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_PROFILE", "nobody", "The config profile (nobody) could not be found"),
        ("AWS_ENDPOINT_URL", "not a url", "Invalid endpoint: not a url"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "Could not connect to the endpoint URL"),
    ],
)
def test_what_cannot_be_reached_is_a_line(
    bucket: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for argument in ("s3://exports/orders.csv", "s3://exports/*.csv"):
        outcome = cli("run", argument)
        assert (outcome.code, outcome.err.count("\n"), says in outcome.err) == (1, 1, True), outcome.err


def test_a_broken_transfer_goes_on_where_it_was(bucket: Any, line: Line) -> None:
    bucket.put_object(Key="orders.csv", Body=LONG)
    line.breaks_after, line.breaks = 300_000, 2
    assert read(survey("s3://exports/orders.csv")) == LONG.rstrip()
    assert line.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_an_object_that_changes_while_it_is_read_is_refused(bucket: Any, line: Line) -> None:
    bucket.put_object(Key="orders.csv", Body=LONG)
    line.breaks_after = 300_000
    line.then = lambda: bucket.put_object(Key="orders.csv", Body=LONG.replace(b"books", b"games"))
    with pytest.raises(BadFileError, match=r"^orders\.csv: FILE_CHANGED: the object changed"):
        survey("s3://exports/orders.csv")


def test_a_server_that_only_breaks_off_is_given_up(bucket: Any, line: Line) -> None:
    bucket.put_object(Key="orders.csv", Body=LONG)
    line.breaks_after, line.breaks = 0, 1000
    with pytest.raises(BadFileError, match=r"^orders\.csv: TRUNCATED: the server breaks off"):
        survey("s3://exports/orders.csv")


def test_every_object_is_loaded_once_under_whatever_key(bucket: Any, cli: Cli) -> None:
    days = {f"2024/{day}.csv.gz": HEADER + b"\n" + row(b"%d" % day) for day in range(1, 6)}
    for key, content in days.items():
        bucket.put_object(Key=key, Body=gzip.compress(content))
    assert cli("run", "s3://exports/2024/*.csv.gz").code == 0
    # When one of them is there under another key, packed in another way
    bucket.put_object(Key="again.csv", Body=days["2024/3.csv.gz"])
    outcome = cli("run", "s3://exports/again.csv", "s3://exports/2024/")
    # Then nothing is loaded, and the marts have each order once.
    assert (outcome.code, outcome.out.count("skipped") >= 6) == (0, True), outcome.out
    assert "19.00" not in outcome.out
    assert cli("show", "daily_revenue", "--json").out.count("95.00") == 1
