"""What the options of `leadstream worker` come to."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import streams.worker
from streams.cli import command


@pytest.mark.parametrize(
    ("arguments", "variables", "app_id"),
    [
        ([], {}, "leadstream"),
        ([], {"LEADSTREAM_APP": "trial"}, "trial"),
        (["--app", "second"], {"LEADSTREAM_APP": "trial"}, "second"),
    ],
)
def test_workers_can_be_given_a_name_of_their_own(
    arguments: list[str], variables: dict[str, str], app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(streams.worker, "run_worker", lambda *_, **options: started.append(options))
    result = CliRunner().invoke(command(), ["worker", *arguments], env=variables)
    assert result.exit_code == 0, result.output
    assert [options["app_id"] for options in started] == [app_id]
