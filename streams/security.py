"""How this process proves who it is, to Kafka and to the schema registry, and whom it believes.

A process talks to one cluster as one user. So that no client can be forgotten there is one place: the command line
calls `log_in_as` once, before anything else, and whatever makes a client asks `login()`: `streams.kafka` for
confluent-kafka's, `streams.worker` for the engine's, `streams.wire.codec` for the registry's.

Secrets come from files or from the environment, never from a command line, and no `repr` shows them.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streams.errors import UsageError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
#: The variables that hold secrets themselves; each has a flag that names a file instead.
SASL_PASSWORD, SSL_KEY_PASSWORD, REGISTRY_PASSWORD = (
    "LEADSTREAM_SASL_PASSWORD",
    "LEADSTREAM_SSL_KEY_PASSWORD",
    "LEADSTREAM_SCHEMA_REGISTRY_PASSWORD",
)


class BadLogin(UsageError):
    """Settings of encryption or login that can't be meant, or name a file that can't be read."""


@dataclass(frozen=True, slots=True)
class Login:
    """Encryption and login. `protocol` None: SASL_SSL with a user name, SSL with any certificate, else PLAINTEXT.

    `ca`, `cert` and `key` are PEM files; without `ca` the system's authorities are believed. Raises BadLogin.
    """

    protocol: str | None = None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    registry_username: str | None = None
    registry_password: str | None = field(default=None, repr=False)
    registry_ca: Path | None = None

    def __post_init__(self) -> None:
        _one_of("--security-protocol", self.protocol, PROTOCOLS)
        _one_of("--sasl-mechanism", self.mechanism, MECHANISMS)
        if self.speaks.startswith("SASL"):
            if not self.username or not self.password:
                raise BadLogin(
                    f"{self.speaks} needs --sasl-username, and its password in {SASL_PASSWORD} or --sasl-password-file."
                )
        elif self.username or self.mechanism:
            raise BadLogin(f"--sasl-* says who logs in, but --security-protocol {self.speaks} has no login.")
        if not self.speaks.endswith("SSL") and (self.ca or self.cert or self.key):
            raise BadLogin(f"--ssl-* names certificates, but --security-protocol {self.speaks} does not encrypt.")
        if (self.cert is None) != (self.key is None):
            raise BadLogin("--ssl-cert and --ssl-key go together: give both or neither.")
        _check_certificates(self)
        if (self.registry_username is None) != (self.registry_password is None):
            raise BadLogin(
                "--schema-registry-username goes with a password, in "
                f"{REGISTRY_PASSWORD} or --schema-registry-password-file."
            )
        if self.registry_username and ":" in self.registry_username:
            raise BadLogin("--schema-registry-username can't hold a colon.")

    @property
    def speaks(self) -> str:
        """The protocol that is spoken."""
        if self.protocol is not None:
            return self.protocol.upper()
        if self.username:
            return "SASL_SSL"
        return "SSL" if self.ca or self.cert else "PLAINTEXT"

    def librdkafka(self) -> dict[str, Any]:
        """By librdkafka's names; empty for plain text."""
        if self.speaks == "PLAINTEXT":
            return {}
        settings: dict[str, Any] = {"security.protocol": self.speaks}
        if self.speaks.startswith("SASL"):
            settings |= {
                "sasl.mechanism": (self.mechanism or "SCRAM-SHA-512").upper(),
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        files = {"ssl.ca.location": self.ca, "ssl.certificate.location": self.cert, "ssl.key.location": self.key}
        settings |= {name: str(file) for name, file in files.items() if file is not None}
        if self.key_password is not None:
            settings["ssl.key.password"] = self.key_password
        return settings

    def registry(self) -> dict[str, Any]:
        """By the names of confluent-kafka's registry client."""
        settings: dict[str, Any] = {}
        if self.registry_username is not None:
            settings["basic.auth.user.info"] = f"{self.registry_username}:{self.registry_password}"
        if self.registry_ca is not None:
            settings["ssl.ca.location"] = str(self.registry_ca)
        return settings

    def variables(self) -> dict[str, str]:
        """The same as LEADSTREAM_* variables, for a process of ours that is to log in as this one does."""
        said = {
            "SECURITY_PROTOCOL": self.speaks,
            "SASL_MECHANISM": self.mechanism,
            "SASL_USERNAME": self.username,
            "SASL_PASSWORD": self.password,
            "SSL_CA": self.ca,
            "SSL_CERT": self.cert,
            "SSL_KEY": self.key,
            "SSL_KEY_PASSWORD": self.key_password,
            "SCHEMA_REGISTRY_USERNAME": self.registry_username,
            "SCHEMA_REGISTRY_PASSWORD": self.registry_password,
            "SCHEMA_REGISTRY_CA": self.registry_ca,
        }
        return {f"LEADSTREAM_{name}": str(value) for name, value in said.items() if value is not None}


def log_in_as(wanted: Login) -> None:
    """From now on, every client of this process is made with `wanted`."""
    global _current
    _current = wanted


def login() -> Login:
    """What clients are to be made with; plain text until `log_in_as`."""
    return _current


def without_login(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what says how to log in: for a process of ours that talks to another cluster."""
    ours = ("LEADSTREAM_SECURITY_", "LEADSTREAM_SASL_", "LEADSTREAM_SSL_", "LEADSTREAM_SCHEMA_REGISTRY_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


def read_secret(flag: str, file: Path) -> str:
    """The first line of `file`. Raises BadLogin."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadLogin(f"{flag}: {file} can't be read ({getattr(error, 'strerror', None) or error}).") from None
    if not lines or not lines[0]:
        raise BadLogin(f"{flag}: the first line of {file} is empty; it should be the password.")
    return lines[0]


def _one_of(flag: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value.upper() not in known:
        raise BadLogin(f"{flag} {value} is not known. Choose one of {', '.join(known)}.")


def _check_certificates(login: Login) -> None:
    """librdkafka says of a bad file only that the configuration is bad; Python's library says which and why."""
    for flag, ca in (("--ssl-ca", login.ca), ("--schema-registry-ca", login.registry_ca)):
        if ca is not None:
            _load(flag, ca, partial(ssl.create_default_context, cafile=ca))
    if login.cert is not None and login.key is not None:
        cert, key, password = login.cert, login.key, login.key_password or ""
        context = ssl.create_default_context()
        # Without an answer the library would ask for a password on the terminal.
        _load("--ssl-cert, --ssl-key", cert, lambda: context.load_cert_chain(cert, key, lambda: password))


def _load(flag: str, file: Path, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise BadLogin(
            f"{flag}: {file} does not hold what it should, in PEM form ({error.reason or 'no certificate'})."
        ) from None
    except OSError as error:
        raise BadLogin(f"{flag}: {file} can't be read ({error.strerror}).") from None


def login_from(environment: Mapping[str, str]) -> Login:
    """What `Login.variables` said. Raises BadLogin."""

    def said(name: str) -> str | None:
        return environment.get(f"LEADSTREAM_{name}") or None

    def file(name: str) -> Path | None:
        found = said(name)
        return Path(found) if found else None

    return Login(
        said("SECURITY_PROTOCOL"),
        said("SASL_MECHANISM"),
        said("SASL_USERNAME"),
        said("SASL_PASSWORD"),
        file("SSL_CA"),
        file("SSL_CERT"),
        file("SSL_KEY"),
        said("SSL_KEY_PASSWORD"),
        said("SCHEMA_REGISTRY_USERNAME"),
        said("SCHEMA_REGISTRY_PASSWORD"),
        file("SCHEMA_REGISTRY_CA"),
    )


_current = Login()
