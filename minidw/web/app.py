"""The application: the live report, the marts and rejects page by page, and why a row is what it is."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hmac import compare_digest
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Engine, select

from minidw.database.transaction import reading
from minidw.errors import MinidwError, SettingsError, printable
from minidw.proofs.why import why
from minidw.reports.figures import read_figures
from minidw.reports.html import drawing_program, render
from minidw.reports.rejects import found_rejects
from minidw.schema.marts import find_mart
from minidw.settings import Settings
from minidw.steps.rules import rules_in_force
from minidw.web import pages

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

ROWS = 100
COOKIE = "minidw"
# Names under which a browser on this machine reaches it: another one may be an attacker's that resolves here.
HOSTS = ["127.0.0.1", "localhost"]
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    " 'unsafe-eval'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(engine: Engine, settings: Settings, token: str) -> "Starlette":
    """The application on a warehouse, for who knows the token. Raises SettingsError without Starlette."""
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.responses import HTMLResponse
        from starlette.routing import Route
    except ImportError:
        raise SettingsError("to serve the warehouse, pip install 'minidw[serve]'") from None
    program = cache(drawing_program())
    reader = engine.execution_options(postgresql_readonly=True)

    def page(content: str, status: int = 200) -> "Response":
        return HTMLResponse(content, status, HEADERS)

    def report(_: "Request") -> "Response":
        # Not the reader: what it computes stands in a temporary table, which is rolled back.
        with reading(engine, settings, snapshot=True) as conn:
            figures = read_figures(conn, rules_in_force(conn, settings).rules)
        return page(render(figures, program(), datetime.now(UTC), pages.navigation()))

    def mart(request: "Request") -> "Response":
        named = find_mart(request.path_params["mart"])
        number = _number(request)
        statement = select(*named.__table__.c).order_by(*named.__table__.primary_key)
        with reading(reader, settings) as conn:
            chosen = statement.limit(ROWS + 1).offset((number - 1) * ROWS)
            rows = [dict(row) for row in conn.execute(chosen).mappings()]
        return page(pages.mart(named, rows[:ROWS], number, more=len(rows) > ROWS))

    def explanation(request: "Request") -> "Response":
        named = find_mart(request.path_params["mart"])
        key = tuple(request.query_params.getlist("key"))
        return page(pages.explanation(why(named, key, reader, limit=ROWS, settings=settings)))

    def rejects(request: "Request") -> "Response":
        number = _number(request)
        start = (number - 1) * ROWS
        with found_rejects(None, reader, settings=settings) as (_, found):
            rows = list(islice(found, start, start + ROWS + 1))
        return page(pages.rejects(rows[:ROWS], number, more=len(rows) > ROWS))

    def refusal(_: "Request", error: Exception) -> "Response":
        return page(pages.message(printable(str(error))), 404 if isinstance(error, SettingsError) else 503)

    return Starlette(
        routes=[
            Route("/", report),
            Route("/marts/{mart}", mart),
            Route("/marts/{mart}/why", explanation),
            Route("/rejects", rejects),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
            Middleware(_guarded(token)),
        ],
        exception_handlers={MinidwError: refusal},
    )


def _number(request: "Request") -> int:
    """Which page is asked for."""
    text = request.query_params.get("page", "1")
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _guarded(token: str) -> "Callable[[ASGIApp], ASGIApp]":
    """Let in who knows the token: by the address that was printed, and from then on by a cookie."""
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, RedirectResponse, Response

    def guard(app: "ASGIApp") -> "ASGIApp":
        async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
            request = Request(scope)
            answer: Response | None = None
            if compare_digest(request.query_params.get("token", "").encode(), token.encode()):
                # The token leaves the address, and with it the history of the browser.
                answer = RedirectResponse(request.url.path, 303, HEADERS)
                answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            elif not compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
                answer = PlainTextResponse(
                    "open the address that minidw serve printed, with its token\n", 403, HEADERS
                )
            await (answer or app)(scope, receive, send)

        return guarded

    return guard
