"""From a target's settings to what delivers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from standardwebhooks import Webhook

from streams.errors import UsageError
from streams.relay import salesforce, webhook
from streams.relay.credentials import Authorized, Credentials, FixedToken, OAuthToken
from streams.relay.exchange import HttpSender, Request, Response, Sender
from streams.relay.hubspot import account
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.salesforce import SalesforceDelivery
from streams.relay.secrets import Secret, read_secret
from streams.relay.settings import HubspotTarget, OAuth, SalesforceTarget, SecretAt, Target, WebhookTarget
from streams.relay.target import TargetDelivery
from streams.relay.webhook import WebhookDelivery

Now = Callable[[], int]


class Built(NamedTuple):
    """A target that can be delivered to, and how to end it."""

    delivery: TargetDelivery
    http: HttpSender


def secret_of(where: str, at: SecretAt) -> Secret:
    return read_secret(where, at.env, at.file)


def build(name: str, target: Target, now: Now) -> Built:
    """A target with its secrets and its own connections. Raises UsageError for a secret that can't be had or used."""
    where = f"targets.{name}"
    make = _maker(where, target, now)  # before there is anything to close
    try:
        http = HttpSender(target.timeout, allow_private=target.allow_private, ca_file=target.ca_file)
    except OSError as error:
        raise UsageError(f"{where}.ca_file: {target.ca_file} can't be used: {error.strerror or error}") from None
    return Built(make(http), http)


def _maker(where: str, target: Target, now: Now) -> Callable[[Sender], TargetDelivery]:
    if isinstance(target, WebhookTarget):
        secret = secret_of(f"{where}.secret", target.secret)
        try:
            signer = Webhook(secret.reveal())
        except (ValueError, RuntimeError):
            raise UsageError(f"{where}.secret: not a Standard Webhooks secret, expected whsec_ and base64") from None
        return lambda http: WebhookDelivery(target, signer, http, now)
    if isinstance(target, HubspotTarget):
        token = _hubspot_credentials(where, target)
        return lambda http: HubspotDelivery(target, Authorized(http, token))
    access = _salesforce_credentials(where, target)
    return lambda http: SalesforceDelivery(target, Authorized(http, access))


def build_dry(target: Target, sender: Sender, now: Now) -> TargetDelivery:
    """A target whose requests go to `sender`, without secrets."""
    if isinstance(target, WebhookTarget):
        return WebhookDelivery(target, Webhook("whsec_ZHJ5LXJ1bg=="), sender, now)
    return HubspotDelivery(target, sender) if isinstance(target, HubspotTarget) else SalesforceDelivery(target, sender)


def pretending(target: Target) -> Callable[[Request], Response]:
    """What answers in the target's place in a dry run."""
    if isinstance(target, WebhookTarget):
        return webhook.pretend
    return account.pretend if isinstance(target, HubspotTarget) else salesforce.pretend


def _hubspot_credentials(where: str, target: HubspotTarget) -> Credentials:
    if target.token is not None:
        return FixedToken(secret_of(f"{where}.token", target.token))
    oauth = target.oauth
    assert oauth is not None, "one of the two is checked when the file is loaded"
    assert oauth.refresh_token is not None, "checked likewise"
    refresh = secret_of(f"{where}.oauth.refresh_token", oauth.refresh_token)
    form = {"grant_type": "refresh_token", "refresh_token": refresh, **_client(where, oauth)}
    return OAuthToken(f"{target.url}{account.TOKEN}", form)


def _salesforce_credentials(where: str, target: SalesforceTarget) -> Credentials:
    form: dict[str, str | Secret] = {"grant_type": "client_credentials", **_client(where, target.oauth)}
    if target.oauth.refresh_token is not None:
        refresh = secret_of(f"{where}.oauth.refresh_token", target.oauth.refresh_token)
        form |= {"grant_type": "refresh_token", "refresh_token": refresh}
    return OAuthToken(f"{target.url}{salesforce.TOKEN}", form)


def _client(where: str, oauth: OAuth) -> dict[str, str | Secret]:
    return {
        "client_id": oauth.client_id,
        "client_secret": secret_of(f"{where}.oauth.client_secret", oauth.client_secret),
    }
