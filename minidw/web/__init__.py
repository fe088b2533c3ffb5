"""The warehouse in a browser, read-only: an ASGI application on this machine alone."""
