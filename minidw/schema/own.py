"""The user's own marts and checks: the module that MINIDW_MARTS or a pyproject.toml names."""

import importlib
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from traceback import extract_tb

from minidw.environment import with_dotenv
from minidw.errors import DeclarationError, MinidwError, SettingsError, printable
from minidw.schema.base import Base
from minidw.schema.checks import Check, declared_checks
from minidw.upwards import find_upwards

VARIABLE = "MINIDW_MARTS"
_KEYS = ("marts", "alembic")


@dataclass(frozen=True)
class Project:
    """What the nearest pyproject.toml with ``[tool.minidw]`` says.

    ``marts``: the module of the user's own marts and checks. ``alembic``: the configuration of the
    migrations that make their tables.
    """

    directory: Path
    marts: str | None = None
    alembic: Path | None = None


def load_own() -> None:
    """Import the module of the user's own marts and checks, where there is one; once in a process.

    Raises DeclarationError where it declares what could not be computed exactly, or SettingsError.
    """
    try:
        named = _named(Path.cwd(), os.environ.get(VARIABLE, "").strip())
    except FileNotFoundError:
        return
    if named:
        _import(*named)


@cache
def _named(working_directory: Path, in_environment: str) -> tuple[str, Path, str] | None:
    """The module, the directory that it lies in, and what names it."""
    if in_environment:
        return in_environment, working_directory, VARIABLE
    # A .env that cannot be read is for the settings to tell, if they are asked.
    with suppress(SettingsError):
        if (path := find_upwards(".env")) and (module := with_dotenv().get(VARIABLE, "").strip()):
            return module, path.parent, VARIABLE
    if (project := find_project()) and project.marts:
        return project.marts, project.directory, f"{project.directory / 'pyproject.toml'}: marts"
    return None


def own_checks() -> list[Check]:
    """The user's own checks, in the order of declaration."""
    load_own()
    return [check for check, _ in declared_checks.values()]


def find_project() -> Project | None:
    """The project of the working directory, or None. Raises SettingsError."""
    try:
        return _find_project(Path.cwd())
    except FileNotFoundError:
        return None


@cache
def _find_project(_working_directory: Path) -> Project | None:
    path = find_upwards("pyproject.toml", lambda path: path.is_file() and "[tool.minidw]" in _text(path))
    if path is None:
        return None
    try:
        said = tomllib.loads(_text(path)).get("tool", {}).get("minidw", {})
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    for name, value in said.items():
        if name not in _KEYS or not isinstance(value, str) or not value:
            raise SettingsError(f"{path}: [tool.minidw] takes {' and '.join(_KEYS)}, each a text; not {name}")
    alembic = said.get("alembic")
    return Project(path.parent, said.get("marts"), path.parent / alembic if alembic else None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # whoever it is for will say so


@cache
def _import(module: str, directory: Path, said_in: str) -> None:
    # What lies there goes before what is installed, as it does for Python itself: it is what is worked on.
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    with _taken_back_where_it_fails():
        try:
            importlib.import_module(module)
        except DeclarationError as error:
            raise DeclarationError(f"{_place(error)}{error}") from error
        except MinidwError:
            raise
        except Exception as error:
            text = printable(str(error).splitlines()[0] if str(error) else "")
            cause = f"{_place(error)}{type(error).__name__}: {text}"
            raise SettingsError(f"{said_in}: cannot import {printable(module)}: {cause}") from error


@contextmanager
def _taken_back_where_it_fails() -> Iterator[None]:
    """A module that fails has declared nothing: corrected, it may be imported again."""
    tables, checks = set(Base.metadata.tables), dict(declared_checks)
    try:
        yield
    except MinidwError:
        for name in set(Base.metadata.tables) - tables:
            Base.metadata.remove(Base.metadata.tables[name])
        declared_checks.clear()
        declared_checks.update(checks)
        raise


def _place(error: Exception) -> str:
    """Where in the user's own files it happened, if it did."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    ours = ("importlib", "<", str(Path(__file__).parents[1]))
    for frame in reversed(extract_tb(error.__traceback__)):
        if not frame.filename.startswith(ours) and "site-packages" not in frame.filename:
            return "" if "importlib" in frame.filename else f"{frame.filename}:{frame.lineno}: "
    return ""
