"""One turn of one lead: the lead being changed, the model, and what comes out.

`step` and `advance` take a private copy of the lead into a turn; the modules of this package change that copy and
append transitions. Everything here is emitted with gapless sequence numbers and replay-stable ids.
"""

from __future__ import annotations

from typing import Any

from streams.qualification.events import Changed, Ignored, Qualified, Scored, Transition
from streams.qualification.fit import fit_of, persona_of
from streams.qualification.ids import output_id
from streams.qualification.interest import interest_at
from streams.qualification.lead import DISQUALIFIED, MQL, SQL, Lead, Written
from streams.qualification.model.values import Model

#: Fields of LeadSummary, as they are named in LeadProfile.
SUMMARY_FIELDS = (
    "email",
    "name",
    "phone",
    "company",
    "company_domain",
    "job_title",
    "country",
    "crm_id",
    "budget",
    "authority",
    "need",
    "timeline",
    "expected_amount",
    "unsubscribed",
)


class Turn:
    """The working place of one `step` or `advance`. `lead` is owned and changed in place."""

    __slots__ = ("_interest", "gone", "lead", "model", "out")

    def __init__(self, lead: Lead, model: Model) -> None:
        self.lead = lead
        self.model = model
        self.out: list[Transition] = []
        self.gone = False
        self._interest: tuple[int, float] | None = None
        if lead.judged_by != model.identity:
            self.profile_changed()

    @property
    def fit(self) -> float:
        """The lead's fit in points."""
        return self.lead.fit

    def interest(self, at: int) -> float:
        """The lead's interest in points at `at`."""
        if self._interest is None or self._interest[0] != at:
            self._interest = (at, interest_at(self.lead, self.model, at))
        return self._interest[1]

    def profile_changed(self) -> None:
        """Weigh the profile anew: matching its texts costs too much to be done for every event."""
        lead = self.lead
        lead.fit = fit_of(lead.profile, self.model)
        persona = persona_of(lead.profile, self.model) if lead.profile else None
        lead.persona = persona.name if persona is not None else None

    def groups_changed(self) -> None:
        self._interest = None

    def route(self, at: int) -> str:
        """Where the lead belongs now: its matrix cell; SALES is for those that sales has or may take."""
        stage = self.lead.stage
        if stage == SQL:
            return "SALES"
        if stage == DISQUALIFIED:
            return "NONE"
        cell = self.model.matrix.cell(self.lead.fit, self.interest(at))
        if cell == "SALES" and stage in QUALIFIABLE:
            return "NURTURE"  # hot, yet resting or blocked: it stays in nurture
        if cell == "NONE" and stage == MQL:
            return "NURTURE"  # no longer warm, yet not cooled either: hysteresis holds the route with the stage
        return cell

    def ignore(self, reason: str) -> None:
        self.out.append(Ignored(reason))

    def change(
        self,
        at: int,
        cause: str,
        *,
        to: str | None = None,
        reason: str | None = None,
        qualification_id: str | None = None,
        respond_by: int | None = None,
        ends: bool = False,
        rested: str | None = None,
        answered: int | None = None,
    ) -> None:
        """Move the lead to stage `to` (None: it stays) and emit the LifecycleEvent of it.

        `ends`: see `forget`; `rested`, `answered`: see `Changed`.
        """
        lead = self.lead
        from_stage = lead.stage
        stayed = None
        if to is not None and to != from_stage:
            stayed = max(0, at - lead.stage_since)
            lead.stage = to
            lead.stage_since = at
        lead.sequence += 1
        self.out.append(
            Changed(
                {
                    "event_id": output_id(lead.lead_id, "end" if ends else "lifecycle", at, lead.sequence),
                    "lead_id": lead.lead_id,
                    "occurred_at": at,
                    "sequence": lead.sequence,
                    "episode_id": lead.episode.episode_id if lead.episode else None,
                    "from_stage": from_stage,
                    "to_stage": lead.stage,
                    "cause": cause,
                    "reason": reason,
                    "qualification_id": qualification_id,
                    "route": self.route(at),
                    "interest": self.interest(at),
                    "fit": self.fit,
                    "respond_by": respond_by,
                    "model": self.model.version,
                    "profile": None if ends else self.summary(),
                },
                stayed,
                rested,
                answered,
            )
        )

    def qualified(self, record: dict[str, Any]) -> None:
        self.out.append(Qualified(record))

    def summary(self) -> dict[str, Any] | None:
        """The LeadSummary of the lead's profile, or None when nothing is known."""
        profile = self.lead.profile
        return {field: profile.get(field) for field in SUMMARY_FIELDS} if profile else None

    def write_score(self, at: int, qualified_until: int | None) -> None:
        lead = self.lead
        band, route = self.model.band(self.fit), self.route(at)
        lead.written = Written(lead.stage, band, route, self.interest(at), self.fit, at)
        self.out.append(
            Scored(
                lead.lead_id,
                {
                    "lead_id": lead.lead_id,
                    "as_of": at,
                    "stage": lead.stage,
                    "interest": self.interest(at),
                    "fit": self.fit,
                    "fit_band": band,
                    "route": route,
                    "qualified_until": qualified_until,
                    "sequence": lead.sequence,
                    "model": self.model.version,
                },
            )
        )

    def forget(self, at: int, cause: str, reason: str | None) -> None:
        """Emit the end of the lead; the caller drops the state.

        Its id is of a kind of its own: a new life, whose sequence begins at 1 again, may begin at the same instant.
        It says nothing of the person: the event outlives the erasure by the topic's retention.
        """
        self.change(at, cause, to="visitor", reason=reason, ends=True)
        self.withdraw_score()
        self.gone = True

    def withdraw_score(self) -> None:
        if self.lead.written is not None:
            self.out.append(Scored(self.lead.lead_id, None))


#: Stages from which a lead can (still) become an MQL or SQL.
QUALIFIABLE = ("visitor", "lead", "mql")
