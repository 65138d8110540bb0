"""A real Chromium and real browser trackers for tests, wherever only Python and the package registries are.

Chromium is the one on the path, or that of LEADSTREAM_CHROMIUM; else one out of an npm package, in the user's cache.
Trackers are npm packages too.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cramjam
from playwright.sync_api import Browser, sync_playwright

from tests.npm import Package, unpacked

#: A headless browser names itself as one, and is taken for the bot that it mostly is.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"

ANALYTICS_NEXT = Package(
    "@segment/analytics-next",
    "1.84.3",
    "5l7cPBzScxhfJ0zdcKQI4daDvMIWWUk7hClT1xGRelnHUltIEoQ9w8+ZpFPoWJMpX8D7IA1nVAfJbpiKi3XaKw==",
)
SNOWPLOW = Package(
    "@snowplow/browser-tracker",
    "4.10.1",
    "1Kmi6Mtyxwn5BN7BPD63CCb8diNr/cD/ihxHVbnTVc9UQRK9xJALpkpOu90PomVH/GJN2VxVKyeNmPJhGnv9og==",
)
RUDDERSTACK = Package(
    "@rudderstack/analytics-js",
    "3.34.1",
    "cci768CvaM64Wr/MDDtLF8K49aPy7TwwfwL9G1a2SSfgwL4XfVfGNVT//Mv8yph0a14pPc/Nf5HDWhVjAD5vQg==",
)
_CHROMIUM = Package(
    "@sparticuz/chromium",
    "147.0.0",
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ==",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Chromium(NamedTuple):
    """A browser, and what its environment needs beside ours."""

    path: Path
    environment: dict[str, str]


@cache
def chromium() -> Chromium:
    """The Chromium of this machine, or the one out of the package with the libraries that it needs."""
    named = os.environ.get("LEADSTREAM_CHROMIUM")
    found = named or next((path for name in _NAMES if (path := shutil.which(name))), None)
    return Chromium(Path(found), {}) if found else packaged_chromium()


def packaged_chromium() -> Chromium:
    """For Linux on x86-64."""
    source = unpacked(_CHROMIUM) / "bin"
    folder = source.parent / "unpacked"
    if not folder.is_dir():
        room = Path(tempfile.mkdtemp(dir=source.parent))
        path = room / "chromium"
        path.write_bytes(bytes(cramjam.brotli.decompress((source / "chromium.br").read_bytes())))
        path.chmod(0o755)
        for packed in ("al2023.tar.br", "swiftshader.tar.br", "fonts.tar.br"):
            raw = bytes(cramjam.brotli.decompress((source / packed).read_bytes()))
            with tarfile.open(fileobj=io.BytesIO(raw)) as files:
                files.extractall(room, filter="data")
        try:
            room.rename(folder)
        except OSError:
            shutil.rmtree(room)  # another process was faster
    libraries = ":".join(str(path) for path in (folder / "lib", folder / "al2023" / "lib") if path.is_dir())
    return Chromium(folder / "chromium", {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(_fonts(folder))})


def _fonts(folder: Path) -> Path:
    """Where fontconfig finds the package's fonts: its own file says where they are elsewhere, and without a font a link
    has no size to be clicked on.
    """
    configuration = folder / "found-fonts.conf"
    if not configuration.exists():
        written = Path(tempfile.mkstemp(dir=folder)[1])
        places = f"<dir>{folder / 'fonts'}</dir><cachedir>{folder / 'fonts-cache'}</cachedir>"
        written.write_text(f"<fontconfig>{places}</fontconfig>\n")
        written.rename(configuration)
    return configuration


@contextmanager
def running_browser(found: Chromium) -> Iterator[Browser]:
    """A headless browser, ended with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.path,
            headless=True,
            # Tests may run as root, in containers with a small /dev/shm.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            env={**os.environ, **found.environment},
        )
        try:
            yield browser
        finally:
            browser.close()
