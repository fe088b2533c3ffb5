"""What is under way, for a person who watches: the step, its time, and of a file how much is read."""

import logging
from collections.abc import Callable
from threading import Timer
from typing import TYPE_CHECKING, Any

from minidw.cli.streams import Stream
from minidw.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY = 0.7  # seconds; what takes no longer is shown when it is done


class Steps(logging.Handler):
    """A line on standard error that follows what the steps log, and is gone before anything is said."""

    def __init__(self, err: Stream) -> None:
        super().__init__(logging.INFO)
        self._err = err
        self._bar: Progress | None = None
        self._task: Any = None
        self._timer: Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.update(record.getMessage())

    def update(self, text: str, done: int = 0, total: int | None = None) -> None:
        """Show another step, from now on, and of how many parts so many are done."""
        if self._bar is None:
            self._begin()
        assert self._bar is not None
        self._bar.reset(self._task, description=printable(text), total=total, completed=done)

    def reading(self, text: str, size: int) -> Callable[[int], None]:
        """What shows how much of a file is read, called with the bytes read since."""
        began = False

        def advance(read: int) -> None:
            nonlocal began
            if not began or self._bar is None:
                self.update(text, total=size)
                began = True
            if self._bar is not None:
                self._bar.advance(self._task, read)

        return advance

    def stop(self) -> None:
        """Take it away: something is about to be said, or asked."""
        bar, timer, self._bar, self._timer = self._bar, self._timer, None, None
        if timer is not None:
            timer.cancel()
            timer.join()
        if bar is not None and bar.live.is_started:
            bar.stop()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        console = Console(file=self._err, force_terminal=True, markup=False, emoji=False)  # type: ignore[arg-type]
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(bar_width=20), TaskProgressColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("")
        self._timer = Timer(DELAY, self._bar.start)
        self._timer.daemon = True
        self._timer.start()
