"""The catalogue of bad input, docs/bad-input.md, as tests read it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CATALOGUE = (ROOT / "docs" / "bad-input.md").read_text("utf-8")
CODE = re.compile(r"`([A-Z]+(?:_[A-Z]+)*)`")


def cases() -> dict[int, set[tuple[str, str]]]:
    """What minidw does, by number: F and R with a code each, A alone."""
    found = {}
    for number, answer in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", CATALOGUE, re.MULTILINE):
        outcomes = set(re.findall(r"\b([FR]) `([A-Z_]+)`", answer))
        found[int(number)] = outcomes | ({("A", "")} if re.search(r"\bA\b", answer) else set())
    return found
