"""Encryption and login: options that every command has which talks to Kafka."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.security import (
    REGISTRY_PASSWORD,
    SASL_PASSWORD,
    SSL_KEY_PASSWORD,
    Login,
    log_in_as,
    read_secret,
)


def add_login(command: Any) -> None:
    """Give `command`, which has a `--bootstrap`, the options of `_log_in`; they are heeded before it runs."""
    scratch = typer.Typer(add_completion=False)
    scratch.command()(_log_in)
    asked = typer.main.get_command(scratch)
    options = [option for option in asked.params if option.name != "help"]
    names = [option.name for option in options]
    run, log_in = command.callback, asked.callback
    assert log_in is not None

    def logged_in(**given: Any) -> Any:
        how = {name: given.pop(name) for name in names if name is not None}
        # Without an address the command starts a broker of its own, which asks for no login.
        if given["bootstrap"] is not None:
            log_in(**how)
        return run(**given)

    command.params.extend(options)
    command.callback = logged_in


def _log_in(
    security_protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Default: what the options below need.",
            show_default=False,
        ),
    ] = None,
    sasl_mechanism: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default).", show_default=False),
    ] = None,
    sasl_username: Annotated[
        str | None, typer.Option(metavar="NAME", help="Log in to Kafka as this user.", show_default=False)
    ] = None,
    sasl_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Its first line is the password; or {SASL_PASSWORD}.", show_default=False),
    ] = None,
    ssl_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Believe this authority (PEM) instead of the system's.", show_default=False),
    ] = None,
    ssl_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show this certificate (PEM) to Kafka.", show_default=False)
    ] = None,
    ssl_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate's private key (PEM).", show_default=False)
    ] = None,
    ssl_key_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The key's password; or {SSL_KEY_PASSWORD}.", show_default=False),
    ] = None,
    schema_registry_username: Annotated[
        str | None, typer.Option(metavar="NAME", help="Log in to the schema registry.", show_default=False)
    ] = None,
    schema_registry_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The password there; or {REGISTRY_PASSWORD}.", show_default=False),
    ] = None,
    schema_registry_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The registry's authority (PEM).", show_default=False)
    ] = None,
) -> None:
    log_in_as(
        Login(
            security_protocol,
            sasl_mechanism,
            sasl_username,
            _secret("--sasl-password-file", sasl_password_file, SASL_PASSWORD),
            ssl_ca,
            ssl_cert,
            ssl_key,
            _secret("--ssl-key-password-file", ssl_key_password_file, SSL_KEY_PASSWORD),
            schema_registry_username,
            _secret("--schema-registry-password-file", schema_registry_password_file, REGISTRY_PASSWORD),
            schema_registry_ca,
        )
    )


def _secret(flag: str, file: Path | None, variable: str) -> str | None:
    return read_secret(flag, file) if file is not None else os.environ.get(variable) or None
