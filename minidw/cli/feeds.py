"""What can be said of a feed on the command line, and the commands about feeds: inspect, feeds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidw.cli.options import Commands, add, reporting
from minidw.cli.output import Output
from minidw.errors import SettingsError, printable

if TYPE_CHECKING:
    from minidw.feed import Feed


def declaring() -> argparse.ArgumentParser:
    """Options that declare a feed; each goes before what ``--feed`` says."""
    parent = argparse.ArgumentParser(add_help=False)
    options = parent.add_argument_group("how to read the files")

    def repeated(name: str, metavar: str, text: str) -> None:
        options.add_argument(name, action="append", default=[], metavar=metavar, help=text)

    options.add_argument(
        "--feed", metavar="NAME|FILE.toml", help="a known feed (minidw feeds), or a declaration of your own"
    )
    repeated(
        "--column",
        "OURS=THEIRS",
        "a column that the feed calls otherwise, such as order_id=InvoiceNo; of several for one of ours, the"
        " first that is not blank counts",
    )
    repeated("--set", "OURS=VALUE", "a value for a column that the feed lacks, such as status=delivered")
    repeated("--status", "THEIRS=OURS", "what a status means, such as paid=delivered")
    options.add_argument("--dates", metavar="ORDER", help="iso, dmy, mdy, ymd, epoch or excel (iso)")
    options.add_argument("--time-zone", metavar="ZONE", help="of times without an offset (UTC)")
    options.add_argument("--decimal", metavar="MARK", help=". or , where numbers are written for people")
    options.add_argument(
        "--price-is", metavar="WHAT", help="unit, or line where it is the amount of the line"
    )
    options.add_argument("--returns", metavar="HOW", help="reject, or subtract what is below zero (reject)")
    options.add_argument("--free", action="store_true", help="a price of 0 is accepted")
    repeated("--fill-down", "OURS", "a column that, where blank, is as in the first row of the order")
    options.add_argument(
        "--number-lines", action="store_true", help="the rows of an order are its lines: number them"
    )
    options.add_argument("--skip-lines", type=int, metavar="N", help="lines before the header (0)")
    options.add_argument("--delimiter", help="one character, or tab (,)")
    options.add_argument("--encoding", help="encoding of the file (utf-8)")
    options.add_argument(
        "--skip-malformed", action="store_true", help="set structurally broken lines aside, load the rest"
    )
    return parent


def declared(arguments: argparse.Namespace) -> "Feed":
    """The feed of the options."""
    from dataclasses import replace

    from minidw.feed import Feed, named_feed

    feed = named_feed(arguments.feed) if arguments.feed else Feed()
    simple = ("dates", "time_zone", "decimal", "price_is", "returns", "skip_lines", "delimiter", "encoding")
    given: dict[str, Any] = {
        name: getattr(arguments, name) for name in simple if getattr(arguments, name) is not None
    }
    if arguments.fill_down:
        given["fill_down"] = tuple(name for part in arguments.fill_down for name in part.split(","))
    if arguments.number_lines:
        given["lines"] = "number"
    given |= {name: True for name in ("free", "skip_malformed") if getattr(arguments, name)}
    if arguments.column or arguments.set:
        given["columns"] = {**feed.columns, **_columns(arguments)}
    if arguments.status:
        status = dict(_pair("--status", pair, "paid=delivered") for pair in arguments.status)
        said = {theirs.strip().lower() for theirs in status}
        kept = {theirs: ours for theirs, ours in feed.status.items() if theirs.strip().lower() not in said}
        given["status"] = kept | status
    return replace(feed, **given)


def add_inspect(commands: Commands) -> None:
    """minidw inspect FILE"""
    text = "what a file is, and the feed that would read it; what it does not settle is asked"
    examples = """
        minidw inspect orders.csv                      # what it is, and a feed to start from
        minidw inspect orders.csv --write my.toml      # answer its questions, then:
        minidw run orders.csv --feed my.toml
    """
    command = add(
        commands, "inspect", inspect, text, declaring(), reporting(),
        only_reports=True, warehouse=False, examples=examples,
    )  # fmt: skip
    command.add_argument("file", metavar="FILE", help="a CSV file, packed or not, or -")
    command.add_argument("--write", type=Path, metavar="FEED.toml", help="write the feed into this file")
    command.add_argument("--force", action="store_true", help="write over a file that is there already")


def inspect(arguments: argparse.Namespace, output: Output) -> int:
    import minidw
    from minidw.reports.inspection import print_inspection

    found = minidw.inspect(arguments.file, declared(arguments))
    path = arguments.write
    if path is not None:
        _write(path, found.toml, overwrite=arguments.force)
        arguments.only_reports = False
    written = None if path is None else str(path)
    output.show(
        found.as_dict() | {"written": written},
        lambda console: print_inspection(console, found, arguments.file, written),
    )
    return 0


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    shown = printable(str(path))
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(f"{shown} is there already; --force writes over it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"cannot write {shown}: {reason}") from None


def add_feeds(commands: Commands) -> None:
    """minidw feeds [show NAME]"""
    command = add(
        commands,
        "feeds",
        feeds,
        "the feeds that are known, or the declaration of one",
        reporting(),
        only_reports=True,
        warehouse=False,
        examples="minidw feeds\nminidw feeds show shopify > mine.toml",
    )
    command.add_argument("show", nargs="?", choices=["show"], help="print the declaration of a feed")
    command.add_argument("name", nargs="?", metavar="NAME", help="such as shopify")


def feeds(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.feed.known import known_feed, known_names, known_text

    if arguments.show:
        if not arguments.name:
            raise SettingsError(f"feeds show: name one of {', '.join(known_names())}")
        text = known_text(arguments.name)
        output.show({"name": arguments.name, "toml": text}, lambda console: console.print(text, end=""))
        return 0
    from minidw.reports.tables import print_rows

    known = [{"feed": name, "description": known_feed(name).description} for name in known_names()]
    output.show({"feeds": known}, lambda console: print_rows(console, known))
    return 0


def _columns(arguments: argparse.Namespace) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {}
    for pair in arguments.column:
        ours, theirs = _pair("--column", pair, "order_id=InvoiceNo")
        columns.setdefault(ours, []).append(theirs)
    for pair in arguments.set:
        ours, value = _pair("--set", pair, "status=delivered", may_be_blank=True)
        columns.setdefault(ours, []).append({"value": value})
    return columns


def _pair(option: str, pair: str, example: str, *, may_be_blank: bool = False) -> tuple[str, str]:
    ours, equals, theirs = pair.rpartition("=") if option == "--status" else pair.partition("=")
    if not equals or not (ours.strip() or option == "--status") or not (theirs.strip() or may_be_blank):
        raise SettingsError(f"{option} {pair}: write it as {example}")
    return ours.strip(), theirs.strip()
