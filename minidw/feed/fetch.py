"""Files that a URL names, as they arrive: https:// by the standard library."""

import base64
from collections.abc import Generator
from http.client import HTTPException, InvalidURL
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from minidw.errors import BadFileError, printable
from minidw.feed import s3

CHUNK = 128 * 1024  # bytes
SILENCE = 60  # seconds after which a server is given up
SCHEMES = ("https://", s3.SCHEME)


def is_url(place: str) -> bool:
    """Whether a text names a file elsewhere; http:// is one too, to be refused."""
    return place.lower().startswith((*SCHEMES, "http://"))


def name_of(url: str) -> str:
    """What a file is called: neither an account nor a signature, which a URL may carry, is part of it."""
    if s3.is_s3(url):  # a key is no path: it may have a ? or a #
        return printable(url.rpartition("/")[2] or "file")
    parts = urlsplit(url)
    return printable(PurePosixPath(unquote(parts.path)).name or parts.hostname or "file")


def fetched(url: str, name: str) -> Generator[bytes, None, None]:
    """The bytes of the file. Raises BadFileError where it cannot be had, or breaks off."""
    match url.split("://")[0].lower():
        case "s3":
            yield from s3.fetched(url, name)
        case "https":
            yield from _from_https(url, name)
        case _:
            raise BadFileError(name, "UNREADABLE", "minidw reads https:// and s3://, not http://")


def _from_https(url: str, name: str) -> Generator[bytes, None, None]:
    try:
        opened = build_opener(_HttpsOnly()).open(_request(url), timeout=SILENCE)
        with opened as response:
            left = int(response.headers.get("Content-Length", -1))
            while piece := response.read(CHUNK):
                left -= len(piece)
                yield piece
            if left > 0:
                raise BadFileError(name, "TRUNCATED", "the server broke off")
    except HTTPError as error:
        error.close()
        code = "NOT_FOUND" if error.code in (404, 410) else "UNREADABLE"
        raise BadFileError(name, code, f"the server says {error.code} {printable(error.msg)}") from None
    except URLError as error:
        cause = getattr(error.reason, "strerror", None) or getattr(error.reason, "reason", None)
        raise BadFileError(name, "UNREADABLE", printable(str(cause or error.reason))) from None
    except (InvalidURL, ValueError):
        raise BadFileError(name, "UNREADABLE", "this is no URL") from None
    except HTTPException as error:
        raise BadFileError(name, "TRUNCATED", f"the server broke off: {type(error).__name__}") from None
    except OSError as error:
        raise BadFileError(name, "UNREADABLE", error.strerror or type(error).__name__) from None


def _request(url: str) -> Request:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    headers = {"User-Agent": "minidw", "Accept-Encoding": "identity"}
    request = Request(urlunsplit(parts._replace(netloc=host, fragment="")), headers=headers)  # noqa: S310
    if parts.username is not None:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        secret = base64.b64encode(account.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


class _HttpsOnly(HTTPRedirectHandler):
    """A redirection may not lead to where anybody on the way could change an order."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise URLError("it redirects to another place than https://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
