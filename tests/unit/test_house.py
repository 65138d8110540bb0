"""The house rules that tools can check: style, types, and which part may import which."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    bin_folder = Path(sys.executable).parent
    return subprocess.run([str(bin_folder / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("lint-imports", "--no-cache"),
        pytest.param(("mypy",), marks=pytest.mark.slow),
    ],
    ids=["ruff finds nothing", "the code is formatted", "imports follow the arrows", "types are right"],
)
def test_the_house_is_in_order(command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_core_and_the_engine_can_be_imported_without_the_rest_of_the_house() -> None:
    """import-linter reads source; this sees what is really loaded."""
    for part in ("qualification", "engine"):
        allowed = {"streams", "streams.errors"}
        loaded = run(
            "python",
            "-c",
            f"import sys, pkgutil, importlib, streams.{part} as part\n"
            "for m in pkgutil.walk_packages(part.__path__, part.__name__ + '.'): importlib.import_module(m.name)\n"
            "print(*(name for name in sys.modules if name.split('.')[0] == 'streams'))",
        )
        assert loaded.returncode == 0, loaded.stderr
        strangers = {
            name for name in loaded.stdout.split() if name not in allowed and not name.startswith(f"streams.{part}")
        }
        assert not strangers


def test_no_two_files_of_tests_have_the_same_name() -> None:
    """pytest imports them by it: of two only one would run."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, times in names.items() if times > 1] == []
