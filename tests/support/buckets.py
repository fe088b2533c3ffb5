"""S3 over HTTP: moto's, with a connection that can break."""

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen


class Line:
    """What stands between a client and S3, as a WSGI application.

    breaks_after: bytes of an object after which its transfer breaks off; None: it does not
    breaks: how often that happens
    then: called when it has happened
    asked: the range of every object that was asked for
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.breaks_after: int | None = None
        self.breaks = 1
        self.then: Callable[[], object] = lambda: None
        self.asked: list[str | None] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._app(environ, start_response)
        if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"].count("/") < 2:
            return answer
        self.asked.append(environ.get("HTTP_RANGE"))
        if self.breaks_after is None or not self.breaks:
            return answer
        self.breaks -= 1
        part = b"".join(answer)[: self.breaks_after]
        self.then()
        return [part]


@contextmanager
def s3_over_http() -> Iterator[tuple[str, Line]]:
    """The address of an empty S3, and the line to it."""
    serving: Any = importlib.import_module("werkzeug.serving")
    moto: Any = importlib.import_module("moto.moto_server.werkzeug_app")
    line = Line(moto.DomainDispatcherApplication(moto.create_backend_app))

    class Quiet(serving.WSGIRequestHandler):  # type: ignore[misc]
        def log(self, *_: object) -> None:
            """Nothing."""

    server = serving.make_server("127.0.0.1", 0, line, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        urlopen(f"{address}/moto-api/reset", b"").close()  # noqa: S310 (what moto keeps, it keeps per process)
        yield address, line
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
