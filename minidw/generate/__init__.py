"""Fake orders: in the form of the contract, and as the exports of known shops write them."""

from minidw.generate.exports import GeneratedExport, generate_export
from minidw.generate.orders import FEED_DIRECTORY, FIRST_DAY, LAST_DAY, generate_orders, next_day

__all__ = [
    "FEED_DIRECTORY",
    "FIRST_DAY",
    "LAST_DAY",
    "GeneratedExport",
    "generate_export",
    "generate_orders",
    "next_day",
]
