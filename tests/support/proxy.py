"""A TCP proxy before a PostgreSQL server that breaks the connection at COMMIT, before or after it is done."""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import URL

COMMIT = b"Q" + struct.pack("!I", 11) + b"COMMIT\0"
READY = b"Z" + struct.pack("!I", 5) + b"I"


class Proxy:
    """Passes everything on, until it is told to cut.

    cut: cut at the next COMMIT, ``before`` the server gets it or ``after`` it has answered; once
    down: answer no more connections
    cuts: how often it did
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.cut: Literal["before", "after"] | None = None
        self.stay_down = self.down = False
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.down:
                client.close()
            else:
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    try:
                        data = source.recv(65536)
                    except ConnectionError:
                        return
                    if not data:
                        return
                    # The driver sends COMMIT alone and waits: it is what ends the data.
                    if source is client and self.cut and data.endswith(COMMIT):
                        self._cut(server, data)
                        return
                    (server if source is client else client).sendall(data)

    def _cut(self, server: socket.socket, data: bytes) -> None:
        if self.cut == "after":
            server.sendall(data)
            answer = b""
            while not answer.endswith(READY):
                received = server.recv(65536)
                assert received
                answer += received
        self.down, self.cut, self.cuts = self.stay_down, None, self.cuts + 1


@contextmanager
def proxy_before(url: URL) -> Iterator[tuple[Proxy, URL]]:
    """A proxy in front of the server of a URL, and the URL through it."""
    assert url.host
    assert url.port
    proxy = Proxy((url.host, url.port))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy, url.set(port=proxy.port)
    finally:
        # Closing alone does not wake a thread that waits in accept.
        proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        thread.join(10)
