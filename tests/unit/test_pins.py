"""What must not change by accident: the fingerprints by which a warehouse knows how it was built.

They hash SQL text, so that even another alias makes every user's history be judged or built again. Where one
has to change, the changelog says so.
"""

from minidw import Settings, all_marts
from minidw.transforms.judge import rules_fingerprint
from minidw.transforms.marts import fingerprint

EMPTY_ENVIRONMENT = Settings().rules


def test_the_rules_of_staging_are_those_of_the_last_release() -> None:
    assert rules_fingerprint(EMPTY_ENVIRONMENT)[:16] == "032db8960a9eb79f"


def test_each_mart_is_defined_as_in_the_last_release() -> None:
    assert {mart.__tablename__: fingerprint(mart, EMPTY_ENVIRONMENT)[:16] for mart in all_marts()} == {
        "daily_revenue": "55c2ee2d76ca75cf",
        "customer_ltv": "a21c1254991200e1",
        "product_revenue": "84ef4107369a0476",
        "customer_segments": "e672b3fc551d5e78",
    }
