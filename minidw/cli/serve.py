"""Command that keeps the warehouse up and shows it in a browser: serve."""

import argparse
import os
import secrets
import socket
from contextlib import suppress
from typing import Any

from minidw.cli.options import Commands, add, reporting, whole_number
from minidw.cli.output import Output
from minidw.errors import SettingsError

HOST = "127.0.0.1"
PORT = 8420


def add_serve(commands: Commands) -> None:
    """minidw serve"""
    text = "keep the warehouse up, and show it in a browser on this machine, read-only"
    command = add(commands, "serve", serve, text, reporting(), examples="minidw serve --port 8500")
    command.add_argument("--port", type=whole_number, default=PORT, help=f"of the page ({PORT}); 0: any")


def serve(arguments: argparse.Namespace, output: Output) -> int:
    from minidw.database.transaction import bound
    from minidw.settings import Settings
    from minidw.web.app import make_app

    settings, token = Settings.from_env(), secrets.token_urlsafe(24)
    with bound(None, settings) as engine, _listening(arguments.port) as listening:
        app = make_app(engine, settings, token)  # type: ignore[arg-type]  # of no bind it is an Engine
        page = f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"
        url = engine.url  # type: ignore[union-attr]
        tools = url.set(drivername="postgresql").render_as_string()
        program = url.render_as_string()
        output.in_lines = True
        output.line({"page": page, "postgresql": tools, "sqlalchemy": program}, page)
        output.say(f"psql and other tools: {tools}")
        output.say(f"SQLAlchemy:           {program}")
        output.say("until Ctrl-C")
        _run(app, listening)
    return 0


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OverflowError:
        raise SettingsError(f"there is no port {port}") from None
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise SettingsError(f"cannot listen on port {port}: {why}; --port 0 takes any") from None


def _run(app: Any, listening: socket.socket) -> None:
    try:
        import uvicorn
    except ImportError:
        raise SettingsError("to serve the warehouse, pip install 'minidw[serve]'") from None
    # Its log of requests would show the token.
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
