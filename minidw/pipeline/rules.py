"""Changing the rules of the warehouse, and everything that follows from them."""

from collections.abc import Mapping
from typing import Any

from minidw.database.engine import Bind
from minidw.pipeline.attempt import attempt
from minidw.pipeline.result import Result
from minidw.pipeline.sequence import follow_rules
from minidw.settings import Settings
from minidw.steps.rules import wanted_rules


def set_rules(
    changes: Mapping[str, Any], bind: Bind = None, *, wait: bool = True, settings: Settings | None = None
) -> Result:
    """Change rules of the warehouse, judge every batch by them, build and check, in one commit.

    Args:
        changes: new values by the name of the setting, as there or as a value of its type; None for the
            default. What the settings say of the rules is not looked at
        bind, wait, settings: as in ``run``

    Returns:
        ``rules``: each rule that is another now, before and after; and what the steps did.

    Raises:
        SettingsError: there is no such rule or value
        BadFileError, CheckFailedError, WarehouseBusyError, DatabaseError: as in ``run``

    Example:
        >>> result = minidw.set_rules({"SEGMENT_VIP": 20000, "ORDER_DATE_MAX": None})
        >>> [(change.name, change.before, change.after) for change in result.rules]
        [('SEGMENT_VIP', '10000', '20000')]
    """
    settings = settings or Settings.from_env()
    wanted = wanted_rules(changes)
    return attempt("rules", follow_rules, bind, settings, wait=wait, wanted=wanted)
