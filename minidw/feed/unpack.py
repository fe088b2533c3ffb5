"""Compressed files → the bytes of their content, as they are read."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import PurePath
from typing import IO, Any, BinaryIO, NamedTuple

from minidw.errors import BadFileError

try:
    from lzma import LZMAError
except ImportError:  # a Python that was built without it

    class LZMAError(Exception):  # type: ignore[no-redef]
        pass


DAMAGES = (gzip.BadGzipFile, zlib.error, LZMAError, zipfile.BadZipFile)
"""What is raised where a compressed file is damaged, besides EOFError and OSError without a number."""


class Compression(NamedTuple):
    """What people call it, how such a file begins, and how one is opened, whose name is for errors."""

    title: str
    magic: bytes
    open: Callable[[BinaryIO, str], Any]


def packed_as(name: str, head: bytes) -> str:
    """The suffix by which to unpack content of this name and these first bytes; blank where they differ.

    A file object that unpacks what it reads has the name of the packed file all the same.
    """
    suffix = PurePath(name).suffix.lower()
    return suffix if suffix in COMPRESSIONS and head.startswith(COMPRESSIONS[suffix].magic) else ""


@contextmanager
def unpacked(file: BinaryIO, suffix: str, name: str) -> Iterator[IO[bytes]]:
    """The content of a file that is compressed as its suffix says. Raises BadFileError where it cannot be."""
    if suffix not in COMPRESSIONS:
        yield file
        return
    with COMPRESSIONS[suffix].open(file, name) as content:
        yield content


def _gzip(file: BinaryIO, _: str) -> Any:
    return gzip.GzipFile(fileobj=file)


@contextmanager
def _zstandard(file: BinaryIO, name: str) -> Iterator[Any]:
    zstd: Any = None
    for module in ("compression.zstd", "backports.zstd"):  # the first is there since Python 3.14
        with suppress(ImportError):
            zstd = zstd or import_module(module)
    if zstd is None:
        message = "to read Zstandard, pip install 'minidw[zstd]', or unpack it: zstd -d FILE"
        raise BadFileError(name, "UNREADABLE", message)
    try:
        with zstd.ZstdFile(file) as content:
            yield content
    except zstd.ZstdError as error:
        raise BadFileError(name, "NOT_CSV", f"cannot be decompressed: {error}") from None


def _bzip2(file: BinaryIO, _: str) -> Any:
    from bz2 import BZ2File

    return BZ2File(file)


def _xz(file: BinaryIO, _: str) -> Any:
    from lzma import LZMAFile

    return LZMAFile(file)


def _only_member(file: BinaryIO, name: str) -> Any:
    archive = zipfile.ZipFile(file)
    # What macOS puts beside every file is not part of the delivery.
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        message = f"this archive holds {len(members)} files; unpack it and name them"
        raise BadFileError(name, "NOT_CSV", message)
    try:
        return archive.open(members[0])
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way of its own
        raise BadFileError(name, "NOT_CSV", f"cannot be decompressed: {error}") from None


COMPRESSIONS = {
    ".gz": Compression("gzip", b"\x1f\x8b", _gzip),
    ".bz2": Compression("bzip2", b"BZh", _bzip2),
    ".xz": Compression("xz", b"\xfd7zXZ\0", _xz),
    ".zst": Compression("Zstandard", b"\x28\xb5\x2f\xfd", _zstandard),
    ".zip": Compression("a zip archive", b"PK\x03\x04", _only_member),
}
"""By the suffix of a name. All that minidw knows of a way to compress stands here."""
