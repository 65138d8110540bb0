"""A broker that believes nobody: TLS, SCRAM users or client certificates, and nothing allowed that no ACL allows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives import serialization

from streams.access import Right, Role
from streams.local.broker import EmbeddedBroker
from streams.security import Login

ADMIN = "admin"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}


def password_of(user: str) -> str:
    return f"password-of-{user}"


@dataclass(frozen=True)
class Secured:
    """A broker that runs, and how to log in there."""

    bootstrap: str
    ca: Path
    broker: EmbeddedBroker

    def login(self, user: str, **changed: Any) -> Login:
        said = {"username": user, "password": password_of(user), "ca": self.ca, **changed}
        return Login(**said)

    def variables(self, user: str, **changed: Any) -> dict[str, str]:
        """The environment of a process that talks to this broker as `user`."""
        return {**os.environ, **self.login(user, **changed).variables(), "LEADSTREAM_BOOTSTRAP": self.bootstrap}

    def client(self, user: str) -> dict[str, Any]:
        """librdkafka's settings."""
        return {"bootstrap.servers": self.bootstrap, **self.login(user).librdkafka(), "log_level": 0}

    def admin(self) -> AdminClient:
        return AdminClient(self.client(ADMIN))

    def allow(self, roles: Iterable[Role]) -> None:
        """Add the ACLs of the roles."""
        acls = [acl for role in roles for right in role.rights for acl in _acls(role.user, right)]
        admin = self.admin()  # named: answers only come while the client lives
        for answer in admin.create_acls(acls).values():
            answer.result()


def _acls(user: str, right: Right) -> list[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if right.prefix else ResourcePatternType.LITERAL
    return [
        AclBinding(
            _RESOURCES[right.kind],
            right.name,
            pattern,
            f"User:{user}",
            "*",
            _OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for operation in right.operations
    ]


@contextmanager
def scram_broker(folder: Path, users: Iterable[str], mechanisms: str = "SCRAM-SHA-512,PLAIN") -> Iterator[Secured]:
    """TLS, and SCRAM (or PLAIN) users, each with `password_of` the name."""
    known = {name: password_of(name) for name in (ADMIN, *users)}
    ca = Authority(folder)
    jaas = "listener.name.sasl_ssl.{}.sasl.jaas.config"
    plain = " ".join(f'user_{name}="{password}"' for name, password in known.items())
    server = {
        **ca.server(),
        "sasl.enabled.mechanisms": mechanisms,
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        jaas.format("scram-sha-512"): f'{_SCRAM} required username="{ADMIN}" password="{known[ADMIN]}";',
        jaas.format("plain"): f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};",
        **_closed(ADMIN),
    }
    probe = Login(username=ADMIN, password=known[ADMIN], ca=ca.file).librdkafka()
    with EmbeddedBroker(folder / "kafka", server=server, protocol="SASL_SSL", users=known, client=probe) as broker:
        yield Secured(broker.bootstrap, ca.file, broker)


@contextmanager
def certificate_broker(folder: Path) -> Iterator[tuple[str, Login]]:
    """TLS on both sides, no login: (address, a login with a certificate that may do everything)."""
    ca = Authority(folder)
    login = ca.login("leadstream")
    server = {**ca.server(), "ssl.client.auth": "required", **_closed("CN=leadstream")}
    with EmbeddedBroker(folder / "kafka", server=server, protocol="SSL", client=login.librdkafka()) as broker:
        yield broker.bootstrap, login


class Authority:
    """A certificate authority, its own certificate in `file`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def server(self) -> dict[str, str]:
        """Kafka's settings for TLS, with a certificate for 127.0.0.1."""
        cert, key = self._issue("127.0.0.1", self._ca.issue_cert("127.0.0.1", common_name="leadstream"))
        both = self._folder / "server.pem"
        both.write_bytes(key.read_bytes() + cert.read_bytes())
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.file),
        }

    def login(self, name: str) -> Login:
        """A login by a certificate."""
        cert, key = self._issue(name, self._ca.issue_cert(f"{name}.example", common_name=name))
        return Login(ca=self.file, cert=cert, key=key)

    def _issue(self, name: str, leaf: trustme.LeafCert) -> tuple[Path, Path]:
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        private = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        key.write_bytes(  # Kafka reads no other format
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert, key


def _closed(superuser: str) -> Mapping[str, str]:
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Nobody but the broker itself comes without a name: the controller's own listener.
        "super.users": f"User:{superuser};User:ANONYMOUS",
        "ssl.principal.mapping.rules": "RULE:^(CN=[^,]*).*$/$1/,DEFAULT",
    }
