"""``python -m benchmarks``: a day onto histories of two sizes, and what its cost follows."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from benchmarks.incremental import Measured, measure


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument(
        "--rows", type=int, nargs=2, default=[1_000_000, 10_000_000], help="the two histories"
    )
    options.add_argument("--json", action="store_true", help="print JSON")
    arguments = options.parse_args()
    small, large = (measure(rows) for rows in arguments.rows)
    ratios = {
        "recent batch, large history / small": (large.recent_batch / small.recent_batch, "<= 1.3"),
        "random batch, large history / small": (large.random_batch / small.random_batch, ""),
        "plain rebuild / recent batch, large history": (large.plain_rebuild / large.recent_batch, ">= 15"),
        "own rebuild / recent batch, large history": (large.own_rebuild / large.recent_batch, ">= 15"),
    }
    if arguments.json:
        print(json.dumps({"small": small.as_dict(), "large": large.as_dict(), "ratios": ratios}, indent=2))
        return
    console = Console()
    console.print(_seconds(small, large))
    table = Table("ratio", "measured", "goal")
    for name, (ratio, goal) in ratios.items():
        table.add_row(name, f"{ratio:.2f}", goal)
    console.print(table)


def _seconds(small: Measured, large: Measured) -> Table:
    table = Table("seconds", f"{small.history:,} rows", f"{large.history:,} rows")
    for name in ("first_run", "recent_batch", "random_batch", "plain_rebuild", "own_rebuild"):
        table.add_row(name.replace("_", " "), f"{getattr(small, name):.2f}", f"{getattr(large, name):.2f}")
    return table


main()
