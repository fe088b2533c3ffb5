"""What a call did, step by step."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from minidw.steps.build import Built
from minidw.steps.check import Checked
from minidw.steps.erase import Erased
from minidw.steps.load import Loaded
from minidw.steps.prune import Pruned
from minidw.steps.replay import Replayed
from minidw.steps.rules import Moved, RuleChange
from minidw.steps.stage import Staged
from minidw.steps.unload import Unloaded

log = logging.getLogger(__name__)


@dataclass
class Result:
    """What a command did, in one commit; the steps that it does not have are empty.

    command: what was asked for, such as ``run``
    file: name of the file that was given; None where there was none
    replayed: what judging earlier batches again made of staging; None where they were not
    staged: each batch that was staged, with its rows by fate
    built: each mart, and how it was brought up to date
    checked: each check, and what it found
    unloaded: each batch that was taken back
    erased: each customer that was erased, by the name that is left
    rules: each rule that was changed
    moved: the revenue that ``set_rules`` moved by it
    seconds: time per step, seconds

    Example:
        >>> result = minidw.run("corrections.csv")
        >>> [step for step in result.seconds]
        ['load', 'stage', 'build', 'check']
        >>> result.built[0].mart, result.built[0].method
        ('daily_revenue', 'incremental')
    """

    command: str
    file: str | None = None
    _loaded: Loaded | None = None
    replayed: Replayed | None = None
    staged: list[Staged] = field(default_factory=list)
    built: list[Built] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    _pruned: Pruned | None = None
    unloaded: list[Unloaded] = field(default_factory=list)
    erased: list[Erased] = field(default_factory=list)
    rules: list[RuleChange] = field(default_factory=list)
    moved: Moved | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def loaded(self) -> Loaded:
        """What the load did; AttributeError after a command that loads no file."""
        if self._loaded is None:
            raise AttributeError(f"{self.command} loads no file: its result has no 'loaded'")
        return self._loaded

    @loaded.setter
    def loaded(self, loaded: Loaded) -> None:
        self._loaded = loaded

    @property
    def pruned(self) -> Pruned:
        """What was pruned; AttributeError after every other command."""
        if self._pruned is None:
            raise AttributeError(f"{self.command} prunes nothing: its result has no 'pruned'")
        return self._pruned

    @pruned.setter
    def pruned(self, pruned: Pruned) -> None:
        self._pruned = pruned

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, and say in the log that it begins."""
        log.info(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; null for what the command does not do."""
        return {name.removeprefix("_"): value for name, value in asdict(self).items()}
