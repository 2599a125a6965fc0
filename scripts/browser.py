"""Pages for tests, benchmarks and pictures: a headless Chromium, and a dashboard for it to look at."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

# No look at any network but the page's own.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have 64 MB of it, which pages of pictures may fill
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1400,1000",
)


class NoBrowserError(Exception):
    """There is no browser here that can be driven; the text says what is missing."""


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Give Selenium's driver of a Chromium of its own, with an empty profile, which keeps what pages log.

    Raises:
        NoBrowserError: If Chromium, its driver or Selenium is missing.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    found = {"chromium": chromium, "chromedriver": driver, "the package selenium": find_spec("selenium")}
    if missing := [name for name, where in found.items() if not where]:
        raise NoBrowserError(f"no browser: {', '.join(missing)} not found")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=driver)
        with webdriver.Chrome(options=options, service=service) as page:
            yield page


def complaints(page: Any) -> list[str]:
    """Return the errors that pages have logged since the last call."""
    return [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def dashboard(*options: str) -> Iterator[str]:
    """Serve `autotune dashboard` with these options, in a process of its own, and give its address."""
    command = [sys.executable, "-m", "autotune", "dashboard", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://[\d.:]+/", server.stdout.readline())
        assert address is not None
        try:
            yield address[0]
        finally:
            server.terminate()
