"""What goes over the wire and what does not: private addresses, redirects, certificates, signatures."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from streams.relay.addresses import is_public
from streams.relay.building import build
from streams.relay.exchange import (
    Delivered,
    Gone,
    HttpSender,
    Rejected,
    Request,
    Retry,
    Skipped,
    Unanswered,
    failure,
)
from streams.relay.memory import NOTHING
from streams.relay.secrets import SecretMissing
from streams.relay.settings import WebhookTarget
from streams.relay.targets import load_targets
from streams.relay.webhook import WebhookDelivery, WebhookPlan
from tests.relay_bed import SECRET
from tests.relay_records import AT, DAY, item, lifecycle, qualification
from tests.servers import Answer, Subscriber, serving


@asynccontextmanager
async def sending(**settings: object) -> AsyncIterator[HttpSender]:
    sender = HttpSender(1.0, **settings)  # type: ignore[arg-type]
    try:
        yield sender
    finally:
        await sender.close()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"),
        *("127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
    ],
)
async def test_an_address_that_is_not_public_is_refused_whatever_its_name(host: str) -> None:
    with serving(Subscriber()) as server:
        async with sending() as sender:
            with pytest.raises(Unanswered, match=r"not a public address|InvalidUrl"):
                await sender.send(Request("GET", f"http://{host}:{server.port}/"))
        assert server.heard == []


class _Names(AbstractResolver):
    """A name server that says what a test wants it to."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_resolves_to_a_private_address_is_refused() -> None:
    with serving(Subscriber()) as server:
        async with sending(resolver=_Names(["127.0.0.1"])) as sender:
            with pytest.raises(Unanswered, match="not a public address"):
                await sender.send(Request("GET", f"http://crm.example:{server.port}/"))
        assert server.heard == []
        async with sending(resolver=_Names(["127.0.0.1"]), allow_private=True) as sender:
            assert (await sender.send(Request("GET", f"http://crm.example:{server.port}/"))).status == 204


async def test_a_name_is_looked_at_again_for_each_connection() -> None:
    with serving(Subscriber()) as server:
        names = _Names(["192.0.2.1"])
        async with sending(resolver=names) as sender:
            with pytest.raises(Unanswered):
                await sender.send(Request("GET", f"http://crm.example:{server.port}/"))
            names.addresses = ["127.0.0.1"]
            with pytest.raises(Unanswered, match="not a public address"):
                await sender.send(Request("GET", f"http://crm.example:{server.port}/"))
        assert server.heard == []


async def test_nothing_is_sent_by_a_relay_that_stood_still() -> None:
    with serving(Subscriber()) as server:
        async with sending(allow_private=True) as sender:
            sender.guard = lambda: False
            with pytest.raises(Unanswered, match="stood still"):
                await sender.send(Request("GET", server.url))
        assert server.heard == []


def test_which_addresses_are_public() -> None:
    private = ["10.1.2.3", "192.168.0.1", "172.16.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "fc00::1", "224.0.0.1"]
    private += ["100.64.0.1", "0.0.0.0", "::ffff:10.0.0.1", "169.254.169.254", "240.0.0.1", "fec0::1", "::", "ff02::1"]
    private += [
        "192.0.0.8",
        "192.88.99.1",
        "168.63.129.16",
        "3fff::1",
        "2001:db8::1",
        "64:ff9b:1::5db8:d822",
        "5f00::1",
    ]
    private += ["::ffff:168.63.129.16", "2002:a83f:8110::1", "64:ff9b::a83f:8110", "::ffff:0:10.0.0.1"]
    private += ["64:ff9b::a00:1", "64:ff9b::169.254.169.254", "2002:a00:1::1", "::10.0.0.1", "2001:0:a00:1::1"]
    assert [address for address in private if is_public(address)] == []
    assert is_public("93.184.216.34")
    assert is_public("::ffff:93.184.216.34")
    assert is_public("64:ff9b::5db8:d822")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")


async def test_a_redirect_is_not_followed() -> None:
    with serving(Subscriber()) as other, serving(Subscriber()) as server:
        server.always = Answer(307, None, {"Location": f"{other.url}/"})
        async with sending(allow_private=True) as sender:
            response = await sender.send(Request("POST", server.url, {"a": 1}, {"Authorization": "Bearer x"}))
        assert other.heard == []
        outcome = failure(response)
        assert isinstance(outcome, Retry)
        assert "redirects are not followed" in outcome.detail


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.write_bytes(key.private_bytes(*plain))
    return pem, key_file


async def test_certificates_are_verified(tmp_path: Path) -> None:
    pem, key_file = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key_file)

    async def fine(_: web.Request) -> web.Response:
        return web.Response(text="fine")

    app = web.Application()
    app.router.add_get("/", fine)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        async with sending(allow_private=True) as strangers:
            with pytest.raises(Unanswered, match="Certificate"):
                await strangers.send(Request("GET", url))
        async with sending(allow_private=True, ca_file=str(pem)) as acquainted:
            assert (await acquainted.send(Request("GET", url))).body == b"fine"
    finally:
        await runner.cleanup()


def test_a_request_does_not_show_what_is_secret_in_it() -> None:
    request = Request("POST", "https://x.example", None, {"Authorization": "Bearer hidden"}, {"secret": "hidden"})
    assert "hidden" not in repr(request)


def test_a_target_without_its_secrets_leaves_nothing_open() -> None:
    text = "targets: {a: {type: webhook, url: 'https://x.example', secret: {env: NOBODY_SET_THIS}}}"
    with pytest.raises(SecretMissing):
        build("a", load_targets(text, "t").targets["a"], lambda: 0)  # no loop runs that could close a connection


async def test_a_name_that_is_none_is_an_answer_that_never_comes() -> None:
    async with sending() as sender:
        for host in ("x..example", "a" * 64 + ".example"):
            with pytest.raises(Unanswered):
                await sender.send(Request("GET", f"https://{host}/"))


@asynccontextmanager
async def hook(server: Subscriber, **settings: str) -> AsyncIterator[WebhookDelivery]:
    more = "".join(f", {name}: {value}" for name, value in settings.items())
    text = f"targets: {{a: {{type: webhook, url: '{server.url}', secret: {{env: X}}, allow_private: true{more}}}}}"
    target = load_targets(text, "t").targets["a"]
    assert isinstance(target, WebhookTarget)
    async with sending(allow_private=True) as sender:
        now = datetime.datetime.now(datetime.UTC)
        yield WebhookDelivery(target, Webhook(SECRET), sender, lambda: round(now.timestamp() * 1000))


async def test_a_webhook_is_signed_and_the_same_body_each_time() -> None:
    with serving(Subscriber()) as server:
        async with hook(server) as target:
            for _ in range(2):
                plan = target.plan(item(qualification("lead-1", 5)), NOTHING, AT)
                assert await target.deliver([plan]) == [Delivered()]
        first, second = server.heard
        assert first.body == second.body
        body = Webhook(SECRET).verify(first.body, dict(first.headers))
    assert (body["type"], body["timestamp"]) == ("leadstream.sql.v1", "2026-11-01T09:00:00.000Z")
    assert body["data"]["respond_by"] == "2026-11-02T09:00:00.000Z"


async def test_an_old_event_is_skipped_unless_someone_asks_for_it_again() -> None:
    with serving(Subscriber()) as server:
        async with hook(server) as target:
            late = AT + 8 * DAY
            assert target.plan(item(qualification("lead-1", 5)), NOTHING, late) == Skipped("too_old")
            assert not isinstance(target.plan(item(qualification("l", 5), retried=True), NOTHING, late), Skipped)
        async with hook(server, max_age="null") as target:
            assert not isinstance(target.plan(item(qualification("lead-1", 5)), NOTHING, late), Skipped)


async def test_an_erasure_is_told_however_old_it_is() -> None:
    with serving(Subscriber()) as server:
        async with hook(server) as target:
            gone = item(lifecycle("l", 6, "sql", "visitor", "ERASED", AT, profile=None))
            plan = target.plan(gone, NOTHING, AT + 30 * DAY)
            assert isinstance(plan, WebhookPlan)
            assert plan.remember is not None


async def test_a_letter_of_an_erased_lead_does_not_go_out_again() -> None:
    with serving(Subscriber()) as server:
        async with hook(server) as target:
            erased = target.plan(
                item(lifecycle("l", 6, "sql", "visitor", "ERASED", AT + DAY, profile=None)), NOTHING, AT
            )
            assert isinstance(erased, WebhookPlan)
            assert erased.remember is not None
            letter = item(qualification("l", 5), retried=True)
            assert target.plan(letter, erased.remember, AT) == Skipped("erased")
            came_back = item(qualification("l", 5, at=AT + 2 * DAY), retried=True)
            assert isinstance(target.plan(came_back, erased.remember, AT), WebhookPlan)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Delivered), (204, Delivered), (410, Gone), (400, Rejected), (404, Rejected), (500, Retry)],
)
async def test_what_a_subscriber_answers_decides(status: int, kind: type) -> None:
    with serving(Subscriber()) as server:
        server.always = Answer(status)
        async with hook(server) as target:
            (outcome,) = await target.deliver([target.plan(item(qualification("lead-1", 5)), NOTHING, AT)])
    assert isinstance(outcome, kind)
