"""``python -m benchmarks``: every promise about speed, measured against its floor or its peer."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks import processes, warehouse
from benchmarks.ratio import Ratio


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000, help="rows of a file (1000000)")
    options.add_argument("--factor", type=int, default=10, help="how many files make the long history (10)")
    options.add_argument("--repeat", type=int, default=3, help="times; the best counts (3)")
    options.add_argument("--json", action="store_true", help="print JSON")
    arguments = options.parse_args()
    console = Console(stderr=arguments.json)
    ratios = []
    for ratio in measure(arguments.rows, arguments.factor, arguments.repeat):
        console.print(f"{ratio.name}: {ratio.value:.2f}", highlight=False)
        ratios.append(ratio)
    if arguments.json:
        print(
            json.dumps(
                [asdict(ratio) | {"value": ratio.value, "met": ratio.met} for ratio in ratios], indent=2
            )
        )
        return
    console.print(as_table(ratios))


def measure(rows: int, factor: int, repeat: int) -> Iterator[Ratio]:
    """Every ratio, the quick ones first."""
    many = rows * factor
    yield from processes.starts(5 * repeat)
    yield processes.whole_run(repeat)
    yield processes.generate(rows, repeat)
    yield from warehouse.load(rows, repeat)
    yield warehouse.first_run(rows, 1.0, repeat=repeat)
    on_short, recent_on_short = warehouse.further_batches(rows, rows // 10, 0.4, repeat)
    yield on_short
    on_long, recent_on_long = warehouse.further_batches(many, rows // 10, 0.06, repeat)
    yield on_long
    name = f"a recent batch on a history of {many:,}, against one on {rows:,}"
    yield Ratio(name, recent_on_long, recent_on_short, 1.3)
    yield processes.peak_memory(many)
    yield warehouse.first_run(many, 0.9)
    yield warehouse.first_run(many, 0.9, files=factor)


def as_table(ratios: list[Ratio]) -> Table:
    """A row per ratio, with both of its sides."""
    table = Table("measured", "ours", "theirs", "ratio", "goal", "")
    for ratio in ratios:
        sign = "≥" if ratio.more_is_better else "≤"
        table.add_row(
            ratio.name,
            f"{ratio.ours:.2f} {ratio.unit}",
            f"{ratio.theirs:.2f} {ratio.unit}",
            f"{ratio.value:.2f}",
            f"{sign} {ratio.goal:g}",
            "met" if ratio.met else "missed",
        )
    return table


main()
