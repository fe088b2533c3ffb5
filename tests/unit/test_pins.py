"""What must not change by accident: the fingerprints by which a warehouse knows how it was built.

They hash SQL text, so that even another alias makes every user's history be judged or built again. Where one
has to change, the changelog says so.
"""

from minidw import Settings, all_marts
from minidw.transforms.marts import fingerprint
from minidw.transforms.rules import rules_fingerprint

EMPTY_ENVIRONMENT = Settings().rules


def test_the_rules_of_staging_are_those_of_the_last_release() -> None:
    assert rules_fingerprint(EMPTY_ENVIRONMENT)[:16] == "6f37357c1ba941f5"


def test_each_mart_is_defined_as_in_the_last_release() -> None:
    assert {mart.__tablename__: fingerprint(mart, EMPTY_ENVIRONMENT)[:16] for mart in all_marts()} == {
        "daily_revenue": "3c30f6a851360818",
        "customer_ltv": "2151467816568438",
        "product_revenue": "1b84ead68557f0be",
        "customer_segments": "8b6aaf9d0584e9b0",
    }
