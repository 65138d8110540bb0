from __future__ import annotations

import subprocess
import sys

import pytest

from streams import __version__
from streams.cli import command

COMMANDS = command().commands


def leaves() -> dict[str, object]:
    """Every command that does something, by its words."""
    found: dict[str, object] = {}
    for name, node in COMMANDS.items():
        nested = getattr(node, "commands", None)
        found |= {f"{name} {inner}": leaf for inner, leaf in nested.items()} if nested else {name: node}
    return found


def leadstream(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **variables},
        timeout=60,
    )


@pytest.mark.parametrize("name", leaves())
def test_the_help_of_every_command_has_an_example_that_begins_with_its_words(name: str) -> None:
    shown = leadstream(*name.split(), "--help")
    assert shown.returncode == 0
    assert f"leadstream {name}" in shown.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("name", leaves())
def test_every_option_can_be_given_as_a_variable_of_its_name(name: str) -> None:
    for option in leaves()[name].params:  # type: ignore[attr-defined]
        if option.param_type_name == "option" and option.name != "help":
            flag = max(option.opts, key=len)
            assert option.envvar == "LEADSTREAM_" + flag.strip("-").replace("-", "_").upper()


def test_a_variable_is_read_and_a_flag_comes_before_it() -> None:
    from_variable = leadstream("topics", LEADSTREAM_BOOTSTRAP="nonsense")
    assert from_variable.returncode == 2
    assert "'nonsense' is not HOST:PORT" in from_variable.stderr
    from_flag = leadstream("topics", "--bootstrap", "worse", LEADSTREAM_BOOTSTRAP="nonsense")
    assert "'worse' is not HOST:PORT" in from_flag.stderr


def test_the_version_is_shown() -> None:
    result = leadstream("--version")
    assert (result.returncode, result.stdout) == (0, f"leadstream {__version__}\n")


@pytest.mark.parametrize("arguments", [("nonsense",), ("topics", "--partitions", "0"), ("tail",), ("publish",)])
def test_wrong_use_exits_2_with_the_reason_and_no_traceback(arguments: tuple[str, ...]) -> None:
    result = leadstream(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unreachable_broker_exits_1_with_one_clear_line() -> None:
    result = leadstream("topics", "--bootstrap", "127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.startswith("leadstream: No Kafka broker answers at 127.0.0.1:1 (connection refused).")
    assert len(result.stderr.splitlines()) == 1


def test_help_loads_no_client_engine_or_codec() -> None:
    """These take the better part of a second, and help should be there at once."""
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from streams.cli import command; command();"
            "print(*{name.split('.')[0] for name in sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    slow = {"confluent_kafka", "aiokafka", "faust", "mode", "aiohttp", "fastavro", "jgo", "yaml", "pydantic"}
    assert not slow & set(shown.stdout.split())
