"""The wheel: in a clean environment, in an empty directory, it does the same as the checkout."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.servers import reachable_directory

ROOT = Path(__file__).parents[2]


def command(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Run a program; its output."""
    words = [str(word) for word in arguments]
    # As into a pipe of the user's own: no width is known there, and nothing is folded.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_does_the_same_as_the_checkout() -> None:
    with reachable_directory() as directory:
        # Given a wheel and a clean environment
        command(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", directory, ROOT)
        (wheel,) = directory.glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        venv.create(directory / "venv", with_pip=True)
        programs, empty = directory / "venv" / "bin", directory / "empty"
        empty.mkdir()
        command(programs / "pip", "install", "--quiet", f"{wheel}[all]")

        # When minidw is called in an empty directory, twice
        outputs = [command(programs / "minidw", cwd=empty) for _ in range(2)]

        # Then its own migrations and marts are at work
        assert "minidw/migrations/env.py" in names
        assert "minidw/py.typed" in names
        assert not any(name.startswith("tests") for name in names)
        for batch, output in enumerate(outputs, 1):
            assert f"batch {batch}, 10,000 rows" in output
            assert len(re.findall(r"mart\.\w+ +│ +[1-9]", output)) == 4
        command(programs / "minidw", "migrate", cwd=empty)
        assert re.search(r"all \d+ checks passed", command(programs / "minidw", "check", cwd=empty))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_base_install_says_what_is_missing(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    command(programs / "pip", "install", "--quiet", ROOT)
    for arguments, hint in (("migrate",), "set DATABASE_URL"), (("generate",), "pip install 'minidw[all]'"):
        done = subprocess.run(
            [programs / "minidw", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in done.stderr
        assert done.stderr.count("\n") == 1
