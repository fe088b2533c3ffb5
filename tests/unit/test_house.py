"""The plan of the house: who imports whom, what is public, and that the README draws it as it is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import minidw

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "minidw"


def test_imports_go_one_way() -> None:
    """The floors stand in pyproject.toml."""
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_public_name_is_where_the_dict_says() -> None:
    for name, module in minidw.MODULES.items():
        assert getattr(minidw, name) is not None, (name, module)


def test_type_checkers_see_the_same_names() -> None:
    text = (PACKAGE / "__init__.py").read_text()
    seen = {
        name: module
        for module, names in re.findall(r"^    from minidw\.([\w.]+) import (\((?:.|\n)*?\)|.+)", text, re.M)
        for name in re.findall(r"(\w+) as \1\b", names)
    }
    assert seen == minidw.MODULES


def test_no_module_has_the_name_of_a_public_function() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules & set(minidw.MODULES) == set()


def test_no_test_imports_another() -> None:
    tests = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    assert [path for path, text in tests.items() if re.search(r"(from|import) [\w.]*\btest_", text)] == []


def test_the_readme_draws_the_tree_as_it_is() -> None:
    (layout,) = re.findall(r"## Layout\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    package = layout.split("migrations/")[0]
    drawn = set(re.findall(r"(?<![\w.])(\w+(?:\.py|/))", package)) - {"minidw/"}
    there = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    there |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert drawn == there


def test_the_design_names_the_floors_in_their_order() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = declared["contracts"][0]["layers"]
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    table = page.split("| floor | what it knows |")[1].split("\n\n")[0]
    named = [set(re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[1])) for row in table.splitlines()[2:]]
    assert named == [set(layer.split(" : ")) - {"__main__"} for layer in reversed(layers)]
