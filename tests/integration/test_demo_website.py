"""`leadstream demo --web`: visiting the website in a real browser makes an SQL of you."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.browser import USER_AGENT, chromium, running_browser
from tests.processes import LEADSTREAM, eventually, leadstream

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_clicking_around_on_the_website_warms_you_up_until_you_are_an_sql(tmp_path: Path) -> None:
    log, scratch = tmp_path / "demo.log", tmp_path / "scratch"
    scratch.mkdir()
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [LEADSTREAM, "demo", "--web", "--plain", "--seconds", "10"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
    try:
        eventually(lambda: demo.poll() is not None or "Your turn: visit" in log.read_text(), "no website", 150)
        assert demo.poll() is None, log.read_text()
        found = re.search(r"Your turn: visit (\S+)", log.read_text())
        assert found is not None
        with running_browser(chromium()) as browser:
            page = browser.new_page(user_agent=USER_AGENT)
            page.goto(found[1])
            page.wait_for_function("document.getElementById('stage').textContent.startsWith('lead')", timeout=60_000)
            for link in ("Pricing", "Case study", "Pricing", "Downloads"):
                page.click(f"nav >> text={link}")
                page.wait_for_function("typeof leadstream.page === 'function'")  # nobody clicks before a page is there
            page.wait_for_function("document.getElementById('stage').textContent.startsWith('mql')", timeout=60_000)
            page.click("nav >> text=Book a demo")
            page.wait_for_function("typeof leadstream.page === 'function'")
            page.click("button")
            page.wait_for_function("document.getElementById('stage').textContent.startsWith('sql')", timeout=60_000)
        eventually(lambda: re.search(r"SQL +you", log.read_text(), re.IGNORECASE), "the terminal does not tell")
    finally:
        demo.terminate()
        assert demo.wait(60) == 0, log.read_text()
    assert not list(scratch.iterdir())


def test_the_website_and_an_end_by_itself_exclude_each_other() -> None:
    done = leadstream("demo", "--web", "--once")
    assert (done.returncode, "choose one of them" in done.stderr) == (2, True)
