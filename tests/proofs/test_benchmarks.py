"""The benchmarks run: on feeds so small that their ratios mean nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_ratio_is_measured() -> None:
    small = ["--rows", "2000", "--factor", "2", "--repeat", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *small], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 13
    assert all(ratio["value"] > 0 for ratio in found)
