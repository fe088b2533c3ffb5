"""Feeds as small tables, so that a test states its data where it is read: those of the users' own tests."""

from minidw.testing import DEFAULTS, write_feed

__all__ = ["DEFAULTS", "write_feed"]
