"""Fixtures that several kinds of test share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from streams.local.broker import EmbeddedBroker


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """A running broker for the whole session (one for each pytest-xdist worker).

    Don't stop it: a test that needs to starts its own.
    """
    with EmbeddedBroker(say=logging.getLogger("broker").info) as running:
        yield running


@pytest.fixture(scope="session")
def bootstrap(broker: EmbeddedBroker) -> str:
    return broker.bootstrap
