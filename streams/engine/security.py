"""Encryption and login: librdkafka's settings, said again for Faust's client."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from faust import auth

from streams.engine.seam import EngineError


def faust_credentials(security: Mapping[str, Any]) -> auth.Credentials | None:
    """Credentials that do what `security.protocol`, `sasl.*` and `ssl.*` of librdkafka say; None for plain
    text.

    Raises EngineError for a mechanism that Faust's client does not speak.
    """
    protocol = str(security.get("security.protocol", "PLAINTEXT")).upper()
    if protocol == "PLAINTEXT":
        return None
    context = _context(security) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return auth.SSLCredentials(context=context)
    mechanism = str(security.get("sasl.mechanism", security.get("sasl.mechanisms", "PLAIN"))).upper()
    if mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        raise EngineError(
            f"sasl.mechanism {mechanism} is not supported. Use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or "
            "certificates (security.protocol SSL)."
        )
    return auth.SASLCredentials(
        username=str(security.get("sasl.username", "")),
        password=str(security.get("sasl.password", "")),
        mechanism=mechanism,
        ssl_context=context,
    )


def _context(security: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    certificate = security.get("ssl.certificate.location")
    if certificate:
        context.load_cert_chain(certificate, security.get("ssl.key.location"), security.get("ssl.key.password"))
    if str(security.get("ssl.endpoint.identification.algorithm", "https")) == "none":
        context.check_hostname = False
    return context
