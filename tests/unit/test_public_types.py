"""What is public is typed for strict callers: the program that mypy reads uses all of it."""

import re
from pathlib import Path

import minidw
from tests import support


def test_the_program_that_mypy_reads_uses_every_public_name() -> None:
    program = (Path(support.__file__).parent / "public_api.py").read_text("utf-8")
    used = set(re.findall(r"\bminidw\.(\w+)", program))
    assert used == set(minidw.__all__)
