"""The wheel: in a clean environment, without the checkout, it does all that is promised."""

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.feeds import write_feed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def command(*arguments: str | Path, cwd: Path | None = None, account: str | None = None) -> str:
    """Run a program, under another account where one is named; its output."""
    # As into a pipe of the user's own: no width is known there, and nothing is folded.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    options = {}
    if account:
        entry = pwd.getpwnam(account)
        options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        environment |= {"HOME": str(cwd), "USER": account, "LOGNAME": account}
    done = subprocess.run(
        [str(word) for word in arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def built(source: Path, where: Path) -> Path:
    """The wheel of a checkout."""
    command(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", where, source)
    (wheel,) = where.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory on a disk that every account can reach."""
    directory = Path(tempfile.mkdtemp(prefix="minidw-wheel-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    return built(ROOT, place / "newer")


@pytest.fixture(scope="module")
def programs(place: Path, wheel: Path) -> Path:
    """The programs of an environment that has the wheel and pytest."""
    venv.create(place / "venv", with_pip=True)
    command(place / "venv" / "bin" / "pip", "install", "--quiet", f"{wheel}[all,xlsx]", "pytest")
    return place / "venv" / "bin"


def directory_of(place: Path, name: str, account: str | None) -> Path:
    """An empty directory of an account."""
    directory = place / name
    directory.mkdir()
    if account:
        shutil.chown(directory, account)
    return directory


def test_it_does_the_same_as_the_checkout(place: Path, wheel: Path, programs: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"minidw/migrations/env.py", "minidw/py.typed"} <= set(names)
    assert not any(name.startswith("tests") for name in names)

    # When minidw is called in an empty directory, twice
    empty = directory_of(place, "empty", None)
    outputs = [command(programs / "minidw", cwd=empty) for _ in range(2)]

    # Then its own migrations and marts are at work
    for batch, output in enumerate(outputs, 1):
        assert f"batch {batch}, 10,000 rows" in output
        assert len(re.findall(r"mart\.\w+ +│ +[1-9]", output)) == 4
    command(programs / "minidw", "migrate", cwd=empty)
    assert re.search(r"all \d+ checks passed", command(programs / "minidw", "check", cwd=empty))


@pytest.mark.parametrize("account", ["root", "nobody"])
def test_a_project_of_ones_own(place: Path, programs: Path, account: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("root takes any account, this one does not")
    home = directory_of(place, f"home_of_{account}", account)

    def call(program: str, *arguments: str, cwd: Path = home / "shop") -> str:
        return command(programs / program, *arguments, cwd=cwd, account=account)

    # Given a project of the wheel's, and orders
    call("minidw", "init", "shop", cwd=home)
    orders = write_feed(home / "orders.csv", "order_id | order_timestamp\n1 | 2024-05-01\n2 | 2024-05-09")
    later = write_feed(home / "later.csv", "order_id | order_timestamp | price\n2 | 2024-05-09 | 12")
    call("minidw", "migrate")
    # When they are previewed and run,
    assert "category_revenue" in call("minidw", "preview", str(orders))
    call("minidw", "run", str(orders))
    # the README's mart is added, and Alembic writes its table,
    (declaration,) = re.findall(r"```python\n([^`]*\nclass \w+\(Mart\):\n.*?)```", README, re.DOTALL)
    marts = home / "shop" / "marts.py"
    marts.write_text(f"{marts.read_text('utf-8')}\n\n{declaration}", "utf-8")
    call("alembic", "revision", "--autogenerate", "-m", "weekly category revenue")
    call("alembic", "upgrade", "head")
    call("alembic", "check")
    call("minidw", "run", str(later))
    # Then all of it is exact, explained, and tested.
    verified = call("minidw", "verify")
    assert "mart.category_revenue" in verified
    assert "mart.weekly_category_revenue" in verified
    assert "later.csv" in call("minidw", "why", "category_revenue", "books")
    assert "1 passed" in call("pytest")


def test_the_code_of_the_readme_runs(place: Path, programs: Path) -> None:
    here = directory_of(place, "readme", None)
    write_feed(here / "orders.csv", "order_id\n1\n2")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    ran = [command(programs / "python", "-c", b, cwd=here) for b in blocks if b.startswith("import minidw")]
    assert len(ran) >= 2
    assert all(ran)


# What stands in the README for something of the reader's.
GIVEN = {
    "FILE...": "shop.csv", "FILE": "more.csv", "DIRECTORY": "project", "DIR": "shared", "17..18": "1..4",
    "N": "100", "S": "1", "P": "0.1",
}  # fmt: skip
# They want Docker, a checkout, the network, Spark or a terminal, or go on for ever.
ELSEWHERE = ("python3", "cp", "cd", "alembic", "minidw run https:", "minidw spark", "minidw psql",
             "minidw serve", "minidw listen")  # fmt: skip


def readme_commands() -> Iterator[list[str]]:
    """The words of each command of the README that a directory with some files suffices for."""
    days = {"--before": "2024-01-01", "--date": "2025-06-01", "--from": "2025-01-01", "--to": "2025-12-31"}
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in (line for block in blocks for line in block.splitlines()):
        if line.strip() and not line.startswith(ELSEWHERE):
            words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)
            yield [days[before] if word == "D" else GIVEN.get(word, word)
                   for before, word in pairwise(["", *words])]  # fmt: skip


def test_the_commands_of_the_readme_run(place: Path, programs: Path) -> None:
    account = "nobody" if os.geteuid() == 0 else None
    home = directory_of(place, "commands", account)
    line = "order_id | customer_id | order_timestamp"
    write_feed(home / "orders.csv", f"{line}\n1001 | 42 | 2024-05-01\n1002 | ada | 2024-05-02")
    write_feed(home / "more.csv", f"{line}\n1003 | 42 | 2024-05-03")
    write_feed(home / "shop.csv", line + "\n1004 | 42 | tomorrow" + "\n1005 | bob | 2024-05-04" * 9)

    ran = 0
    for program, *arguments in readme_commands():
        command(programs / program, *arguments, cwd=home, account=account)
        ran += 1

    assert ran > 35
    assert len(list((home / "shared").iterdir())) == 2


def test_a_newer_wheel_brings_its_tables_to_an_older_project(
    place: Path, wheel: Path, programs: Path
) -> None:
    # Given a wheel from before the newest migration, and a project that it migrated
    older = place / "older"
    shutil.copytree(ROOT, older, ignore=shutil.ignore_patterns(".*", "*cache*", "data", "build", "dist"))
    shutil.copy(ROOT / ".env.example", older)
    *_, before, newest = sorted((older / "migrations" / "versions").glob("[0-9]*.py"))
    newest.unlink()
    (newest, before) = newest.name[:4], before.name[:4]  # type: ignore[assignment]
    reinstall = (programs / "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
    command(*reinstall, built(older, place / "wheel_before"))
    here = directory_of(place, "upgraded", None)
    command(programs / "minidw", "init", "shop", cwd=here)
    shop = here / "shop"
    assert f"at revision {before}" in command(programs / "minidw", "migrate", cwd=shop)
    # When the newer one is installed, and Alembic called as it is for any change of the project's own
    command(*reinstall, wheel)
    command(programs / "alembic", "upgrade", "head", cwd=shop)
    # Then minidw's tables are the newest, and the project's as they were,
    assert f"at revision {newest}; the project's own at 0001" in command(
        programs / "minidw", "migrate", cwd=shop
    )
    command(programs / "alembic", "check", cwd=shop)
    command(programs / "minidw", "migrate", "--check", cwd=shop)
    # and both are at work.
    command(programs / "minidw", "run", write_feed(here / "orders.csv", "order_id\n1"), cwd=shop)
    assert "mart.category_revenue" in command(programs / "minidw", "verify", cwd=shop)


def test_a_strict_caller_finds_its_types(place: Path, programs: Path) -> None:
    program = shutil.copy(ROOT / "tests" / "support" / "public_api.py", place)
    command(
        sys.executable, "-m", "mypy", "--strict", "--python-executable", programs / "python", program,
        cwd=place,
    )  # fmt: skip


def test_a_base_install_says_what_is_missing(tmp_path: Path, wheel: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    command(programs / "pip", "install", "--quiet", wheel)
    for arguments, hint in (("migrate",), "set DATABASE_URL"), (("generate",), "pip install 'minidw[all]'"):
        done = subprocess.run(
            [programs / "minidw", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in done.stderr
        assert done.stderr.count("\n") == 1
