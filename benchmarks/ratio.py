"""A measured ratio, its goal, and how to time things on a machine whose absolute times mean nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs, or theirs over ours where more is better; ``goal`` is the bound to keep."""

    name: str
    ours: float
    theirs: float
    goal: float
    unit: str = "s"
    more_is_better: bool = False

    @property
    def value(self) -> float:
        return self.theirs / self.ours if self.more_is_better else self.ours / self.theirs

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


def seconds(call: Callable[[], object]) -> float:
    """The time that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best_of(repeat: int, *calls: Callable[[], object]) -> list[float]:
    """The best time of each call; they take turns, so that a slow moment of the machine hits all of them."""
    times = [[seconds(call) for call in calls] for _ in range(repeat)]
    return [min(turns) for turns in zip(*times, strict=True)]
