"""Commands of a lake on Apache Spark: run, verify, status, report, sql, publish, prune."""

import argparse
from typing import TYPE_CHECKING, Any

from minidw.cli.feeds import declared, declaring
from minidw.cli.options import Commands, add, destroying, reporting, whole_number, writing
from minidw.cli.output import Output, confirm

if TYPE_CHECKING:
    from rich.console import Console

    from minidw.engines.spark.result import LakeRun


def add_spark(commands: Commands) -> None:
    """minidw spark COMMAND"""
    text = "the same classes on Apache Spark, in a lake of Iceberg tables"
    group = commands.add_parser(
        "spark",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog="examples:\n  minidw spark run orders/*.csv --lake /data/lake\n  minidw spark run --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_command in (_add_run, _add_verify, _add_status, _add_report, _add_sql, _add_publish, _add_prune):
        add_command(inner)


def _add_run(commands: Commands) -> None:
    examples = "minidw spark run 'exports/*.csv.gz' --lake /data/lake --master spark://host:7077"
    text = "files into the lake: load, stage, build and check, all of them in one commit"
    command = add(
        commands, "run", run, text, declaring(), _of_lake(), _on_spark(), writing(), examples=examples
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", help="as for minidw run, where every worker sees them"
    )
    command.add_argument("--force", action="store_true", help="load again what was loaded before")


def _add_verify(commands: Commands) -> None:
    text = "compare every table of the lake with what it follows from"
    add(commands, "verify", verify, text, _of_lake(), _on_spark(), reporting())


def _add_status(commands: Commands) -> None:
    add(
        commands,
        "status",
        status,
        "batches and tables of the lake",
        _of_lake(),
        reporting(),
        only_reports=True,
    )


def _add_report(commands: Commands) -> None:
    text = "the marts of the lake at a glance"
    add(commands, "report", report, text, _of_lake(), _on_spark(), reporting(), only_reports=True)


def _add_sql(commands: Commands) -> None:
    examples = "minidw spark sql 'SELECT * FROM daily_revenue' --lake /data/lake"
    text = "what Spark SQL answers over the tables of the lake"
    command = add(
        commands, "sql", sql, text, _of_lake(), _on_spark(), reporting(), only_reports=True, examples=examples
    )
    command.add_argument("question", metavar="QUESTION", help="a statement of Spark SQL")


def _add_publish(commands: Commands) -> None:
    text = "the marts of the lake into those of the warehouse, in one commit"
    add(commands, "publish", publish, text, _of_lake(), writing())


def _add_prune(commands: Commands) -> None:
    text = "let old snapshots of the lake expire, and remove their files"
    command = add(commands, "prune", prune, text, _of_lake(), writing(), destroying())
    command.add_argument(
        "--keep", type=whole_number, default=10, metavar="N", help="runs whose snapshots stay (10)"
    )


def _of_lake() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--lake", required=True, metavar="DIR", help="the directory of the lake")
    return parent


def _on_spark() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--master", metavar="URL", help="of Spark, such as spark://host:7077 (local[*])")
    parent.add_argument(
        "--conf", type=_pair, action="append", default=[], metavar="NAME=VALUE", help="a setting of Spark"
    )
    return parent


def run(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark

    output.document["results"] = []
    done = spark.run(
        arguments.files,
        feed=declared(arguments),
        number_lines=arguments.number_lines,
        force=arguments.force,
        wait=not arguments.no_wait,
        **_where(arguments),
    )
    output.add(done, _print_run)
    return 0


def verify(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark
    from minidw.reports import answers

    verified = spark.verify(**_where(arguments))
    output.show(verified.as_dict(), lambda console: answers.print_verified(console, verified))
    return 1 if verified.differences else 0


def status(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark

    tables = spark.status(lake=arguments.lake)
    output.show(tables, lambda console: _print_tables(console, tables))
    return 0


def report(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark
    from minidw.reports import answers

    tables = spark.report(**_where(arguments))
    output.show(tables, lambda console: answers.print_report(console, tables))
    return 0


def sql(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark
    from minidw.reports.tables import print_rows

    rows = spark.ask(arguments.question, **_where(arguments))
    output.show({"rows": rows}, lambda console: print_rows(console, rows))
    return 0


def publish(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark
    from minidw.reports.tables import print_rows

    published = spark.publish(lake=arguments.lake, wait=not arguments.no_wait)
    rows = [{"mart": f"mart.{mart}", "rows": rows} for mart, rows in published.marts.items()]
    output.add(published, lambda console, _: print_rows(console, rows, f"published run {published.run}"))
    return 0


def prune(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.engines import spark

    if not arguments.yes:
        confirm(output, f"this removes the snapshots of all runs of the lake but the last {arguments.keep}")
    gone = spark.prune(lake=arguments.lake, keep=arguments.keep, wait=not arguments.no_wait)
    said = f"{len(gone.runs)} runs expired; {gone.files} files with {gone.bytes:,} bytes removed"
    output.add(gone, lambda *_: output.say(said))
    return 0


def _where(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"lake": arguments.lake, "master": arguments.master, "conf": dict(arguments.conf)}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: write it as spark.executor.memory=2g")
    return name, value


def _print_run(console: "Console", done: "LakeRun") -> None:
    from minidw.reports import terminal
    from minidw.reports.tables import print_text

    for loaded in done.loaded:
        print_text(console, terminal.loaded_line(loaded))
    if done.replayed:
        print_text(console, f"judged {done.replayed} earlier batches again: the rules of staging changed")
    for staged in done.staged:
        terminal.print_staged(console, staged)
    if not done.run:
        print_text(console, "nothing to do")
        return
    terminal.print_marts(console, done.built)
    months = "all months" if done.months is None else f"{done.months} months"
    print_text(console, f"run {done.run}: {months} of staging written; {terminal.time_line(done.seconds)}")


def _print_tables(console: "Console", tables: dict[str, Any]) -> None:
    from minidw.reports.tables import print_rows

    for title, rows in tables.items():
        print_rows(console, rows, title)
