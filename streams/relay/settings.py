"""The targets file's sections as types: what may stand there, its bounds and defaults.

Secrets are not in it, only where they are: `{env: NAME}` or `{file: PATH}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

from streams.qualification.feedback import DISPOSITIONS
from streams.qualification.model.nearest import one_of
from streams.relay.facts import FACTS

Topic = Literal["mql-events", "sql-events", "lifecycle-events", "lead-scores"]
Stage = Literal["visitor", "lead", "mql", "sql", "opportunity", "customer", "disqualified"]
Disposition = Literal["ACCEPTED", "REJECTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)

ApiName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
#: What environments take for a name, so that a secret put here by mistake is mostly refused.
EnvironmentName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z_][A-Z0-9_]*$")]
DAY_S: Final = 86_400


class Duration(float):
    """Seconds; `7d`, `12h`, `30s`, `500ms` in the file."""


class Url(str):
    """An absolute http or https address, without user and fragment."""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SecretAt(_Strict, frozen=True, kw_only=True):
    """Where a secret is: one of the two."""

    env: EnvironmentName | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected either env: NAME or file: PATH")


class Retry(_Strict, frozen=True, kw_only=True):
    """`attempts` tries, the pauses between them growing from `first` to at most `longest`, with jitter. By default they
    take three quarters of an hour or more: a CRM's maintenance, or a token to be renewed, parks nothing.
    """

    attempts: Annotated[int, Meta(ge=1, le=100)] = 20
    first: Duration = Duration(1)
    longest: Duration = Duration(300)


class BreakerSettings(_Strict, frozen=True, kw_only=True):
    """After `failures` failures of the target in a row it is left alone for `pause`."""

    failures: Annotated[int, Meta(ge=1, le=1000)] = 5
    pause: Duration = Duration(30)


class Common(_Strict, frozen=True, kw_only=True):
    """What all targets have. `max_age`: an older event asks nobody to do anything (null: no limit)."""

    topics: Annotated[tuple[Topic, ...], Meta(min_length=1)] = TOPICS
    timeout: Duration = Duration(10)
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    max_age: Duration | None = Duration(7 * DAY_S)
    retry: Retry = Retry()
    breaker: BreakerSettings = BreakerSettings()
    allow_private: bool = False
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError("timeout: found 0s; expected longer, a request without an end holds its leads up for ever")
        if len(set(self.topics)) < len(self.topics):
            raise ValueError("topics: one is named twice")


class WebhookTarget(Common, frozen=True, kw_only=True):
    """A subscriber that speaks Standard Webhooks; `secret` is its `whsec_...`."""

    type: Literal["webhook"]
    url: Url
    secret: SecretAt


class OAuth(_Strict, frozen=True, kw_only=True):
    """An app's credentials: HubSpot's with a refresh token, Salesforce's client credentials without."""

    client_id: str
    client_secret: SecretAt
    refresh_token: SecretAt | None = None


class HubspotTarget(Common, frozen=True, kw_only=True):
    """A HubSpot account, by a private app's token or a public app's OAuth."""

    type: Literal["hubspot"]
    url: Url = Url("https://api.hubapi.com")
    token: SecretAt | None = None
    oauth: OAuth | None = None
    fields: Mapping[ApiName, str | None] = {}
    lifecycle_stages: Mapping[Stage, str | None] = {}
    lead_statuses: Mapping[Stage, str] = {}
    tasks_for: tuple[Literal["MQL", "SQL"], ...] = ("SQL",)
    task_owner: str | None = None
    erase: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _no_query(self.url)
        if (self.token is None) == (self.oauth is None):
            raise ValueError("expected either token or oauth")
        if self.oauth is not None and self.oauth.refresh_token is None:
            raise ValueError("oauth needs a refresh_token")
        _known_facts(self.fields)


class SalesforceTarget(Common, frozen=True, kw_only=True):
    """A Salesforce org, by a connected app's client credentials. `url` is My Domain."""

    type: Literal["salesforce"]
    url: Url
    oauth: OAuth
    api_version: Annotated[str, Meta(pattern=r"^[0-9]{2}\.0$")] = "62.0"
    external_id: ApiName = "Leadstream_Lead_Id__c"
    task_external_id: ApiName = "Leadstream_Event_Id__c"
    fields: Mapping[ApiName, str | None] = {}
    statuses: Mapping[Stage, str] = {}
    tasks_for: tuple[Literal["MQL", "SQL"], ...] = ("SQL",)
    task_owner: str | None = None
    erase: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _no_query(self.url)
        _known_facts(self.fields)


Target = WebhookTarget | HubspotTarget | SalesforceTarget


class HubspotFeedback(_Strict, frozen=True, kw_only=True):
    """Changes of a contact's `property`, read through the HubSpot target named `target`; `public_url` is what
    HubSpot was told to call, as its signature covers it.
    """

    target: str
    client_secret: SecretAt
    public_url: Url
    property: ApiName = "hs_lead_status"
    dispositions: Mapping[str, Disposition]
    reason_property: ApiName | None = None


class SalesforceFeedback(_Strict, frozen=True, kw_only=True):
    """Outbound messages about leads. They are not signed: `token` is the last part of the address they go to."""

    token: SecretAt
    organization_id: Annotated[str, Meta(pattern=r"^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$")]
    field: ApiName = "Status"
    dispositions: Mapping[str, Disposition]
    reason_field: ApiName | None = None
    external_id: ApiName = "Leadstream_Lead_Id__c"
    qualification_field: ApiName = "Leadstream_Qualification_Id__c"


class Feedback(_Strict, frozen=True, kw_only=True):
    """The server that sales' answers come in by."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 8081
    host: str = "127.0.0.1"
    secret: SecretAt | None = None
    hubspot: HubspotFeedback | None = None
    salesforce: SalesforceFeedback | None = None


class Targets(Struct, frozen=True):
    """The whole file."""

    targets: Mapping[str, Target]
    feedback: Feedback | None = None


def _no_query(url: Url) -> None:
    if "?" in url:
        raise ValueError("url: expected a CRM's address without a ?query, its paths are put behind it")


def _known_facts(fields: Mapping[str, str | None]) -> None:
    for name, fact in fields.items():
        if fact is not None and fact not in FACTS:
            raise ValueError(f"fields: {name}: {fact!r} is no fact; {one_of(fact, FACTS)}")


assert set(get_args(Disposition)) == set(DISPOSITIONS)
