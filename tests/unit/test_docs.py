"""The pages are true: links and files that they name lead somewhere, and no code or reason is missing."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from minidw.schema import OURS
from tests.support import catalogue

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
REFUSING = ("BadFileError", "_refuse")


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:minidw|tests|migrations|benchmarks|docs)/[\w./-]*)`", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def codes_of_refusals() -> set[str]:
    """Every code that the code refuses a file with."""
    found = set()
    for path in (ROOT / "minidw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(REFUSING):
                texts = [str(value.value) for value in node.args if isinstance(value, ast.Constant)]
                found |= {text for text in texts if re.fullmatch(r"[A-Z]+(_[A-Z]+)*", text)}
    return found


def reasons_to_reject() -> set[str]:
    """Every reason that the rules know: the constants of their text in capitals."""
    tree = ast.parse((ROOT / "minidw" / "transforms" / "judge.py").read_text("utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"[A-Z]+_[A-Z_]+", text)}


def test_every_code_and_reason_is_in_the_catalogue_of_bad_input_and_no_other() -> None:
    settings = {"ORDER_DATE_MIN", "ORDER_DATE_MAX", "MAX_REJECT_RATIO", "XST", "J"}
    listed = set(catalogue.CODE.findall(catalogue.CATALOGUE)) - settings
    assert len(reasons_to_reject()) > 10
    assert listed == codes_of_refusals() | reasons_to_reject()


def ci(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Call the script of what must hold."""
    return subprocess.run(
        ["bash", ".ci/run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_contributing_lists_the_steps_of_ci() -> None:
    # Given what is said where a step does not exist
    refused = ci("--here", "lint", "nonsense")
    assert (refused.returncode, refused.stdout) == (2, "")
    steps = re.search(r"there is no step nonsense; the steps are (.+)", refused.stderr)
    # Then the page has a row for each of them
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("| step | |")[1].split("\n\n")[0]
    assert steps is not None
    assert re.findall(r"`(\w+)`", table) == steps[1].split()


def test_no_change_of_the_table_takes_more_than_three_modules() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("| change | modules |")[1].split("\n\n")[0]
    named = {row.split("|")[1]: re.findall(r"`(minidw/[^`]+)`", row) for row in table.splitlines()[2:]}
    assert len(named) > 10
    assert {change: modules for change, modules in named.items() if not 1 <= len(modules) <= 3} == {}


def test_the_readme_lists_every_table() -> None:
    listed = set(re.findall(r"`((?:raw|staging|mart)\.\w+)`", (ROOT / "README.md").read_text("utf-8")))
    assert OURS - listed == set()
