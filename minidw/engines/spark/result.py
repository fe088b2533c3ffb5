"""What a run on Spark did, step by step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from minidw.steps.build import Built
from minidw.steps.load import Loaded
from minidw.steps.stage import Staged


@dataclass
class LakeRun:
    """What a run did, in one commit of the lake.

    lake: where the lake lies
    run: the number of the run, by which its snapshots are tagged; 0 where there was nothing to do
    loaded: each file
    replayed: how many earlier batches were judged again, since the rules of staging changed
    staged: each batch that was staged, with its rows by fate
    months: how many months of staging were written; None: all of them
    built: each mart, and how it was brought up to date
    seconds: time per step, seconds
    """

    lake: str
    run: int = 0
    loaded: list[Loaded] = field(default_factory=list)
    replayed: int = 0
    staged: list[Staged] = field(default_factory=list)
    months: int | None = 0
    built: list[Built] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
