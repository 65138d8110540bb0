from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from faust import auth

from streams.access import kafka_acls, roles
from streams.cli import command
from streams.engine.security import faust_credentials
from streams.kafka import client_config
from streams.security import BadLogin, Login, log_in_as, login, login_from, without_login
from streams.wire.codec import Codec
from streams.wire.registry import RegistryUnavailable


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path, Path]:
    ca = trustme.CA()
    leaf = ca.issue_cert("client.example")
    files = tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key"
    ca.cert_pem.write_to_path(files[0])
    leaf.cert_chain_pems[0].write_to_path(files[1])
    leaf.private_key_pem.write_to_path(files[2])
    return files


@pytest.fixture
def logged_out() -> Iterator[None]:
    before = login()
    yield
    log_in_as(before)


def test_without_settings_nothing_is_said() -> None:
    assert Login().speaks == "PLAINTEXT"
    assert Login().librdkafka() == {}
    assert Login().registry() == {}
    assert faust_credentials({}) is None


def test_the_protocol_is_what_the_settings_need(certificates: tuple[Path, Path, Path]) -> None:
    ca, cert, key = certificates
    assert Login(username="u", password="p").speaks == "SASL_SSL"
    assert Login(ca=ca).speaks == "SSL"
    assert Login(cert=cert, key=key).speaks == "SSL"
    assert Login("sasl_plaintext", username="u", password="p").librdkafka()["security.protocol"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"protocol": "TLS"}, "--security-protocol TLS"),
        ({"username": "u", "password": "p", "mechanism": "GSSAPI"}, "--sasl-mechanism GSSAPI"),
        ({"username": "u"}, "LEADSTREAM_SASL_PASSWORD"),
        ({"protocol": "SASL_SSL"}, "--sasl-username"),
        ({"protocol": "SSL", "username": "u", "password": "p"}, "has no login"),
        ({"protocol": "PLAINTEXT", "ca": Path("ca.pem")}, "does not encrypt"),
        ({"protocol": "SSL", "cert": Path("c.pem")}, "go together"),
        ({"ca": Path("/nowhere/ca.pem")}, "can't be read"),
        ({"registry_username": "u"}, "LEADSTREAM_SCHEMA_REGISTRY_PASSWORD"),
        ({"registry_username": "u:v", "registry_password": "p"}, "colon"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_what_to_do(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadLogin, match=says) as refused:
        Login(**settings)
    assert refused.value.exit_code == 2


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path, certificates: tuple[Path, Path, Path]) -> None:
    ca, cert, _ = certificates
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    with pytest.raises(BadLogin, match=r"--ssl-ca: .*empty\.pem"):
        Login(ca=empty)
    with pytest.raises(BadLogin, match="--ssl-cert"):
        Login(ca=ca, cert=cert, key=empty)


def test_fausts_client_logs_in_as_the_others_do(certificates: tuple[Path, Path, Path]) -> None:
    ca, cert, key = certificates
    scram = faust_credentials(Login(username="u", password="p", ca=ca).librdkafka())
    assert isinstance(scram, auth.SASLCredentials)
    assert (scram.protocol.value, scram.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (scram.username, scram.password) == ("u", "p")
    shown = faust_credentials(Login(ca=ca, cert=cert, key=key).librdkafka())
    assert isinstance(shown, auth.SSLCredentials)


def test_no_representation_shows_a_secret() -> None:
    secret = "correct-horse"
    made = Login(username="u", password=secret, key_password=secret, registry_username="r", registry_password=secret)
    assert secret not in repr(made)


def test_a_child_process_logs_in_as_its_parent_does(certificates: tuple[Path, Path, Path]) -> None:
    ca, cert, key = certificates
    made = Login("SASL_SSL", "PLAIN", "u", "p", ca, cert, key, None, "r", "s", ca)
    assert login_from(made.variables()) == made
    assert without_login({**made.variables(), "PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.usefixtures("logged_out")
def test_every_client_is_made_with_the_login() -> None:
    log_in_as(Login(username="u", password="p"))
    assert client_config("127.0.0.1:1")["sasl.username"] == "u"


def test_every_command_that_talks_to_kafka_can_log_in_and_none_takes_a_password() -> None:
    def leaves(node: Any) -> Iterator[Any]:
        for child in getattr(node, "commands", {}).values():
            yield from leaves(child) if hasattr(child, "commands") else (child,)

    asked = 0
    for leaf in leaves(command()):
        flags = {flag for parameter in leaf.params for flag in parameter.opts}
        assert not flags & {"--sasl-password", "--ssl-key-password", "--schema-registry-password"}
        if "--bootstrap" in flags:
            asked += 1
            assert {"--security-protocol", "--sasl-password-file", "--ssl-ca", "--schema-registry-ca"} <= flags
    assert asked >= 9


class _Registry(BaseHTTPRequestHandler):
    heard: list[str | None]

    def do_POST(self) -> None:
        self.heard.append(self.headers.get("Authorization"))
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"id": 7}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.usefixtures("logged_out")
def test_the_schema_registry_hears_who_asks_over_tls_and_only_one_that_is_believed(tmp_path: Path) -> None:
    _Registry.heard = []
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), _Registry) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that is broken off
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"https://127.0.0.1:{server.server_port}"
            log_in_as(Login(registry_username="registrar", registry_password="s3cret", registry_ca=tmp_path / "ca.pem"))
            Codec(address).prepare(["dead-letters"])
            log_in_as(Login(registry_username="registrar", registry_password="s3cret"))
            with pytest.raises(RegistryUnavailable):
                Codec(address).prepare(["dead-letters"])
        finally:
            server.shutdown()
            thread.join()
    assert _Registry.heard == ["Basic " + base64.b64encode(b"registrar:s3cret").decode()]


def test_the_acls_name_every_right_of_every_role() -> None:
    lines = kafka_acls("scoring")
    assert len(lines) == sum(len(role.rights) for role in roles("scoring"))
    assert (
        "--add --allow-principal User:scoring-worker --operation Write --transactional-id scoring- "
        "--resource-pattern-type prefixed" in lines
    )
    assert not any("--allow-principal User:scoring-tracker --operation Read" in line for line in lines)
