"""Which warehouse a command works on, for a person who looks."""

from minidw.cli.output import Output


def announce(output: Output) -> None:
    """Say it in one line, on a terminal alone. Raises what finding it raises."""
    if not output.err.isatty():
        return
    from minidw.address import describe
    from minidw.settings import Settings

    settings = Settings.from_env()
    if settings.url is not None:
        output.note(f"warehouse {describe(settings.url)}")
        return
    from minidw.embedded.home import find_home, has_warehouse

    home = find_home(settings.home)
    output.note(f"warehouse {home}" + ("" if has_warehouse(home) else ", not there yet"))
