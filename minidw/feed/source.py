"""A delivered file: finding it, opening it safely, and recognising what is no CSV."""

import codecs
import glob
import gzip
import io
import os
import shutil
import stat
import sys
import tempfile
import weakref
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from minidw.errors import BadFileError, printable

CHUNK = 128 * 1024  # bytes; a few copies of it are all the memory that a file of any size takes
STANDARD_INPUT = "-"
_FEED_SUFFIXES = (".csv", ".csv.gz")

_LOOKS_LIKE = {
    b"\x1f\x8b": "gzip; give the file a name that ends in .gz",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"SQLite format 3\0": "an SQLite database",
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xff\xfe\0\0": "UTF-32; use --encoding utf-32",
    b"\xff\xfe": "UTF-16; use --encoding utf-16",
    b"\xfe\xff": "UTF-16; use --encoding utf-16",
}


def find_files(arguments: Iterable[str]) -> list[str]:
    """The files that the arguments name, oldest name first: files, globs, directories of feeds, or ``-``."""
    found = {path: None for argument in arguments for path in _expand(argument)}
    return sorted(found, key=lambda path: (Path(path).name, path))


def _expand(argument: str) -> list[str]:
    name = printable(argument)
    if argument == STANDARD_INPUT:
        return [argument]
    with refusals(name):
        if Path(argument).is_dir():
            feeds = [
                str(path)
                for path in Path(argument).iterdir()
                if path.name.lower().endswith(_FEED_SUFFIXES) and path.name[0] != "." and not path.is_dir()
            ]
            if not feeds:
                raise BadFileError(name, "NOT_FOUND", "no .csv or .csv.gz file in this directory")
            return feeds
        if os.path.lexists(argument):
            return [argument]
        # Path.glob() takes no absolute pattern.
        matches = [path for path in glob.glob(argument) if not Path(path).is_dir()]  # noqa: PTH207
    if not matches:
        raise BadFileError(name, "NOT_FOUND", "there is no such file")
    return matches


@dataclass(frozen=True)
class Source:
    """Where the bytes of a feed can be read, more than once."""

    name: str
    path: Path | None = None
    spool: BinaryIO | None = None

    @classmethod
    def of(cls, place: str | Path) -> "Source":
        """A path, or standard input, which is kept in an anonymous temporary file."""
        if place != STANDARD_INPUT:
            return cls(printable(Path(place).name or str(place)), Path(place))
        name = "stdin"
        with refusals(name):
            spool = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the source)
            source = cls(name, spool=spool)
            weakref.finalize(source, spool.close)
            if sys.stdin is not None:
                shutil.copyfileobj(sys.stdin.buffer, spool, CHUNK)
        return source

    def chunks(self) -> Generator[bytes, None, None]:
        """The bytes as delivered, decompressed."""
        with refusals(self.name), self._open() as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def refuse_other_formats(self, encoding: str) -> None:
        """Say what a file that is no CSV looks like, by its first bytes."""
        with refusals(self.name), self._open() as file:
            head = file.read(len(max(_LOOKS_LIKE, key=len)))
        kind = _recognise(head)
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        if kind and not (wide and kind.startswith("UTF")):
            raise BadFileError(self.name, "NOT_CSV", f"this is no CSV; it looks like {kind}")

    @contextmanager
    def _open(self) -> Iterator[io.FileIO | gzip.GzipFile | BinaryIO]:
        if self.spool is not None:
            self.spool.seek(0)
            yield self.spool
            return
        assert self.path is not None
        with open(self.path, "rb", 0, opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = "not a regular file; to read from a pipe, redirect it and name -"
                raise BadFileError(self.name, "NOT_A_FILE", message)
            if self.path.suffix.lower() == ".gz":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked
            else:
                yield file


def _recognise(head: bytes) -> str | None:
    for mark, kind in _LOOKS_LIKE.items():
        if head.startswith(mark):
            return kind
    # ASCII in UTF-16 without a byte order mark: every other byte is NUL.
    even, odd = head[0:4:2], head[1:4:2]
    if odd == b"\0\0" and b"\0" not in even:
        return "UTF-16; use --encoding utf-16-le"
    if even == b"\0\0" and b"\0" not in odd:
        return "UTF-16; use --encoding utf-16-be"
    return None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a named pipe would wait for a writer


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Say in the terms of minidw why a file cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise BadFileError(name, "NOT_FOUND", "there is no such file") from None
    except IsADirectoryError:
        raise BadFileError(name, "NOT_A_FILE", "this is a directory") from None
    except EOFError:
        raise BadFileError(name, "TRUNCATED", "the compressed file breaks off") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(name, "NOT_CSV", f"cannot be decompressed: {error}") from None
    except OSError as error:
        raise BadFileError(name, "UNREADABLE", error.strerror or type(error).__name__) from None
    except ValueError as error:  # a NUL in the name
        raise BadFileError(name, "NOT_FOUND", str(error)) from None
