"""Objects in S3: listed, and read as they arrive. boto3 finds its credentials, endpoint and region."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from minidw.errors import BadFileError, printable

SCHEME = "s3://"
CHUNK = 128 * 1024  # bytes
TRIES = 5  # in a row without a byte, after which an object that breaks off is given up


def is_s3(place: str) -> bool:
    return place.lower().startswith(SCHEME)


def names_many(url: str) -> bool:
    """Whether it names what lies below a prefix, or matches a pattern: a ? and a [ may be in any key."""
    key = _bucket_and_key(url)[1]
    return not key or key.endswith("/") or "*" in key


def listed(url: str) -> list[str]:
    """The URLs of the objects that match a pattern, or that lie at a prefix itself and no deeper.

    A ``*`` stands for any characters but ``/``. Raises BadFileError where nothing can be listed.
    """
    bucket, pattern = _bucket_and_key(url)
    if not pattern or pattern.endswith("/"):
        pattern += "*"
    matches = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch
    with _refusals(printable(url)) as boto3:
        pages = boto3.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=bucket, Prefix=pattern.split("*")[0])
        keys = [item["Key"] for page in found for item in page.get("Contents", ())]
    return [f"{SCHEME}{bucket}/{key}" for key in keys if matches(key) and not key.endswith("/")]


def fetched(url: str, name: str) -> Generator[bytes, None, None]:
    """The bytes of an object; where the connection breaks, from there on, as long as it is the same object.

    Raises BadFileError where it cannot be had, or is another one by then.
    """
    with _refusals(name) as boto3:
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        client, position, tried = boto3.client("s3"), 0, 0
        bucket, key = _bucket_and_key(url)
        same: dict[str, str] = {}
        while True:
            rest = {"Range": f"bytes={position}-"} if position else {}
            answer = client.get_object(Bucket=bucket, Key=key, **same, **rest)
            same = {"IfMatch": answer["ETag"]}
            try:
                for piece in answer["Body"].iter_chunks(CHUNK):
                    position, tried = position + len(piece), 0
                    yield piece
                return
            except (HTTPClientError, IncompleteReadError):
                tried += 1
                if tried == TRIES:
                    raise BadFileError(name, "TRUNCATED", "the server breaks off, again and again") from None


def _bucket_and_key(url: str) -> tuple[str, str]:
    bucket, _, key = url[len(SCHEME) :].partition("/")
    return bucket, key


@contextmanager
def _refusals(name: str) -> Iterator[Any]:
    """boto3; and in the terms of minidw why S3 refuses."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise BadFileError(name, "UNREADABLE", "to read s3://, pip install 'minidw[s3]'") from None
    try:
        yield boto3
    except ClientError as error:
        said = error.response["Error"]
        message = printable(f"{said.get('Code')}: {said.get('Message')}")
        match said.get("Code"):
            case "404" | "NoSuchKey" | "NoSuchBucket":
                raise BadFileError(name, "NOT_FOUND", message) from None
            case "412" | "PreconditionFailed":
                message = "the object changed while it was read; nothing of it was loaded"
                raise BadFileError(name, "FILE_CHANGED", message) from None
        raise BadFileError(name, "UNREADABLE", message) from None
    except (BotoCoreError, ValueError) as error:  # such as an endpoint that is no URL
        raise BadFileError(name, "UNREADABLE", printable(str(error))) from None
