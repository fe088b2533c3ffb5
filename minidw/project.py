"""A new project: a directory for marts, checks, migrations and tests of one's own."""

import re
from importlib.metadata import version
from pathlib import Path

from minidw.errors import SettingsError, printable

FILES = {
    "pyproject.toml": "pyproject.toml.in",
    "marts.py": "marts.py.in",
    "alembic.ini": "alembic.ini.in",
    "migrations/env.py": "env.py.in",
    "migrations/script.py.mako": "script.py.mako.in",
    "migrations/versions/0001_category_revenue.py": "0001_category_revenue.py.in",
    "tests/test_marts.py": "test_marts.py.in",
    "README.md": "README.md.in",
    ".env.example": "env.example.in",
    ".gitignore": "gitignore.in",
}
"""Each file of a new project, and what it is made of."""


def init_project(directory: str | Path) -> list[Path]:
    """Write a small project of one's own: marts, checks, migrations, a test.

    Args:
        directory: where; it may exist, and nothing in it is written over

    Returns:
        The paths of the files that were written.

    Raises:
        SettingsError: one of them is there already, or cannot be written

    Example:
        >>> minidw.init_project("shop")[1]
        PosixPath('shop/marts.py')
    """
    directory = Path(directory)
    name = _name(directory)
    paths = {directory / file: source for file, source in FILES.items()}
    if there := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise SettingsError(f"{printable(', '.join(there))}: there already, and nothing is written over")
    try:
        for path, source in paths.items():
            content = _template(source).read_text(encoding="utf-8")
            content = content.replace("@name@", name).replace("@version@", version("minidw"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot write {printable(str(error.filename))}: {error.strerror}") from None
    return list(paths)


def _template(name: str) -> Path:
    """A file of the template; the example of settings is that of the checkout, which the wheel has there."""
    package = Path(__file__).parent
    path = package / "template" / name
    return path if path.exists() else package.parent / ".env.example"


def _name(directory: Path) -> str:
    """The directory's name, as the name of a project and of its table of versions."""
    try:
        said = directory.resolve().name
    except FileNotFoundError:
        raise SettingsError(f"{printable(str(directory))}: the working directory is gone") from None
    name = re.sub(r"[^a-z0-9]+", "_", said.lower()).strip("_")[:40]
    return name if re.match("[a-z]", name) and name not in ("minidw", "own") else f"own_{name}".strip("_")
