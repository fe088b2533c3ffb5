"""A delivered file: finding it, opening it safely, and recognising what is no CSV."""

import codecs
import glob
import os
import stat
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minidw.errors import BadFileError, printable
from minidw.feed import s3
from minidw.feed.advice import declare
from minidw.feed.fetch import is_url
from minidw.feed.unpack import COMPRESSIONS, DAMAGES, unpacked

CHUNK = 128 * 1024  # bytes; a few copies of it are all the memory that a file of any size takes
STANDARD_INPUT = "-"
FEED_SUFFIXES = tuple(kind + packed for kind in (".csv", ".tsv") for packed in ("", *COMPRESSIONS))
"""What a directory is searched for; a file of any other name is read where it is named itself."""


def _conversion(kind: str) -> str:
    """How to make a CSV of a file that is none, in one line."""
    script = f"import sys, pandas; pandas.read_{kind}(sys.argv[1]).to_csv(sys.argv[2], index=False)"
    return f'make a CSV of it: python -c "{script}" FILE FILE.csv'


_LOOKS_LIKE = {
    **{
        packed.magic: f"{packed.title}; give the file a name that ends in {suffix}"
        for suffix, packed in COMPRESSIONS.items()
    },
    b"\xd0\xcf\x11\xe0": f"an old Excel workbook; {_conversion('excel')}",
    b"SQLite format 3\0": "an SQLite database",
    b"PAR1": f"Parquet; {_conversion('parquet')}",
    b"%PDF": "PDF",
    b"\xff\xfe\0\0": f"UTF-32; declare {declare('encoding', 'utf-32')}",
    b"\xff\xfe": f"UTF-16; declare {declare('encoding', 'utf-16')}",
    b"\xfe\xff": f"UTF-16; declare {declare('encoding', 'utf-16')}",
}


def find_files(arguments: Iterable[str]) -> list[str]:
    """The files that the arguments name, oldest name first: files, globs, directories, URLs, or ``-``."""
    found = {path: None for argument in arguments for path in _expand(argument)}
    return sorted(found, key=lambda path: (Path(path).name, path))


def _expand(argument: str) -> list[str]:
    name = printable(argument)
    if s3.is_s3(argument) and s3.names_many(argument):
        return _expand_url(argument, name)
    if argument == STANDARD_INPUT or is_url(argument):
        return [argument]
    with refusals(name):
        if Path(argument).is_dir():
            return _feeds(name, (str(path) for path in Path(argument).iterdir() if not path.is_dir()))
        if os.path.lexists(argument):
            return [argument]
        # Path.glob() takes no absolute pattern.
        matches = [path for path in glob.glob(argument) if not Path(path).is_dir()]  # noqa: PTH207
    if not matches:
        raise BadFileError(name, "NOT_FOUND", "there is no such file")
    return matches


def _expand_url(argument: str, name: str) -> list[str]:
    objects = s3.listed(argument)
    if "*" not in argument:
        return _feeds(name, objects)
    if not objects:
        raise BadFileError(name, "NOT_FOUND", "no object matches")
    return objects


def _feeds(name: str, places: Iterable[str]) -> list[str]:
    """Of what lies in a directory, or at a prefix, the feeds by their names. Raises BadFileError for none."""
    feeds = [
        place
        for place in places
        if place.lower().endswith(FEED_SUFFIXES) and not Path(place).name.startswith(".")
    ]
    if not feeds:
        raise BadFileError(name, "NOT_FOUND", "no .csv or .tsv file in this directory, packed or not")
    return feeds


@dataclass(frozen=True)
class Source:
    """Where the bytes of a feed can be read, more than once.

    packed: how the content of a spool is compressed, as the suffix of a name; of a path its own says it
    """

    name: str
    path: Path | None = None
    spool: BinaryIO | None = None
    packed: str = ""

    @property
    def is_tsv(self) -> bool:
        """Whether the name says that tabs separate the values."""
        return ".tsv" in (Path(self.name).suffix.lower(), Path(Path(self.name).stem).suffix.lower())

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
            if kind and head.startswith(b"PK") and self._is_workbook():
                kind = f"an Excel workbook; {_conversion('excel')}"
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        if kind and not (wide and kind.startswith("UTF")):
            raise BadFileError(self.name, "NOT_CSV", f"this is no CSV; it looks like {kind}")

    def _is_workbook(self) -> bool:
        """Whether a zip archive is one of Excel's."""
        with self._open() as file, suppress(zipfile.BadZipFile):
            return "xl/workbook.xml" in zipfile.ZipFile(file).namelist()
        return False

    @contextmanager
    def _open(self) -> Iterator[Any]:
        if self.spool is not None:
            self.spool.seek(0)
            with unpacked(self.spool, self.packed, self.name) as content:
                yield content
            return
        assert self.path is not None
        with open(self.path, "rb", 0, opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                message = "not a regular file; to read from a pipe, redirect it and name -"
                raise BadFileError(self.name, "NOT_A_FILE", message)
            with unpacked(file, self.path.suffix.lower(), self.name) as content:
                yield content


def _recognise(head: bytes) -> str | None:
    for mark, kind in _LOOKS_LIKE.items():
        if head.startswith(mark):
            return kind
    # ASCII in UTF-16 without a byte order mark: every other byte is NUL.
    even, odd = head[0:4:2], head[1:4:2]
    if odd == b"\0\0" and b"\0" not in even:
        return f"UTF-16; declare {declare('encoding', 'utf-16-le')}"
    if even == b"\0\0" and b"\0" not in odd:
        return f"UTF-16; declare {declare('encoding', 'utf-16-be')}"
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
    except DAMAGES as error:
        raise BadFileError(name, "NOT_CSV", f"cannot be decompressed: {error}") from None
    except OSError as error:
        if error.errno is None:  # so bz2 says that its data is damaged
            raise BadFileError(name, "NOT_CSV", f"cannot be decompressed: {error}") from None
        raise BadFileError(name, "UNREADABLE", error.strerror or type(error).__name__) from None
    except ValueError as error:  # a NUL in the name
        raise BadFileError(name, "NOT_FOUND", str(error)) from None
