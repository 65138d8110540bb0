"""What may be done to a contact's `lifecyclestage`.

HubSpot takes a later stage as it comes and ignores an earlier one, unless the stage is cleared first. From opportunity
on a stage says what people did: it is taken back only by an event that knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.relay.crm import CrmPlan

_ORDER: Final = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
_SALES_OWN: Final = _ORDER.index("opportunity")


class Stages:
    """`names`: leadstream's stages to HubSpot's; those of an account's own have no order that is known here."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def wanted(self, plan: CrmPlan, current: str | None) -> str | None:
        """The stage to write to a contact that has `current`; None to leave it alone."""
        stage = self._stage(plan)
        return None if stage is None or self._is_sales_own(plan, stage, current) else stage

    def goes_back(self, plan: CrmPlan, current: str | None) -> bool:
        """Whether the stage must be cleared before it is set."""
        stage = self.wanted(plan, current)
        if stage is None or not current or current == stage:
            return False
        return stage not in _ORDER or current not in _ORDER or _ORDER.index(stage) < _ORDER.index(current)

    def _stage(self, plan: CrmPlan) -> str | None:
        return self._names.get(plan.stage) if plan.stage is not None else None

    def _is_sales_own(self, plan: CrmPlan, stage: str, current: str | None) -> bool:
        if current not in _ORDER or stage not in _ORDER or _ORDER.index(stage) >= _ORDER.index(current):
            return False
        known = plan.from_stage is not None and self._names.get(plan.from_stage) == current
        return _ORDER.index(current) >= _SALES_OWN and not known
