"""Fixtures that several kinds of test share."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from functools import cache

import pytest

from streams.local.archive import ensure_archive
from streams.local.broker import EmbeddedBroker

#: A shell that puts a run into the background has it ignore SIGINT, and so would all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, and only those")
    parser.addoption("--seed", action="append", type=int, help="of the long runs; may be given several times")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: a quarter of the tests' time is waiting, for time-outs and for rebalances."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = bool(config.getoption("--long"))
    left_out = [item for item in items if ("long" in item.keywords) != wanted]
    items[:] = [item for item in items if ("long" in item.keywords) == wanted]
    config.hook.pytest_deselected(items=left_out)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames and metafunc.definition.get_closest_marker("long"):
        metafunc.parametrize("seed", metafunc.config.getoption("--seed") or [1])


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "integration" in item.keywords:
        _prepare_brokers()


@cache
def _prepare_brokers() -> None:
    """Once: brokers start some eighty times in a whole run."""
    ensure_archive()


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
