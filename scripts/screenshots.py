"""The pictures in docs/pictures, made anew: a search on a terminal, the dashboard, the report.

A small search on scikit-learn's digits is run in a terminal (tmux) and photographed in the middle; it is finalized and
explained, its dashboard and its report are opened in a headless Chromium. Takes ten minutes on two cores. With
`--sections DIR` every section of the report is also photographed, on a light and on a dark screen, to be looked at.

Usage: python scripts/screenshots.py [--run-dir DIR] [--sections DIR]
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from browser import browser, dashboard
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
STUDY = "digits-cnn"
AUTOTUNE = [sys.executable, "-m", "autotune"]
COLUMNS, LINES = 110, 22


def main() -> int:
    """Make all the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", metavar="DIR", type=Path, help="where the study is, or is to be")
    parser.add_argument("--sections", metavar="DIR", type=Path, help="where pictures of all sections go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = (options.run_dir or Path(folder)).absolute()
        where = ["--run-dir", str(run_dir), "--storage", f"sqlite:///{run_dir / 'autotune.db'}"]
        terminal = _search(where)
        for command in (["finalize", STUDY, "--top", "3", "--repeats", "3"], ["explain", STUDY], ["report", STUDY]):
            subprocess.run([*AUTOTUNE, *command, *where], check=True)
        with browser() as page:
            _shoot_terminal(page, terminal, Path(folder))
            _shoot_dashboard(page, where)
            report = (run_dir / STUDY / "report.html").as_uri()
            _open_report(page, report, "light")
            page.save_screenshot(str(PICTURES / "report_answer.png"))
            if options.sections:
                _shoot_sections(page, report, options.sections)
    return 0


def _search(where: list[str]) -> str:
    """Run the search in a terminal, and return what that showed when ten trials had ended, with its colours."""
    if not shutil.which("tmux"):
        raise SystemExit("tmux is needed: it is the terminal that the search is shown on.")
    command = [*AUTOTUNE, "run", str(ROOT / "studies" / "digits_cnn.py"), "--trials", "24", "--workers", "2", *where]
    tmux = ["tmux", "-L", "screenshots"]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    subprocess.run([*tmux, "new-session", "-d", "-s", "run", *size, f"{shlex.join(command)}; sleep 60"], check=True)
    seen = ""
    try:
        while True:
            time.sleep(1)  # a terminal cannot be waited for
            shown = _captured([*tmux, "capture-pane", "-p", "-t", "run"])
            if "24 of 24 trials finished" in shown:
                return seen
            is_busy = len(re.findall(r" [1-9]\d*/20 ", shown)) == 2  # both slots are in the middle of a trial
            if not seen and is_busy and "[10/24]" in shown:
                seen = _captured([*tmux, "capture-pane", "-e", "-p", "-t", "run"])
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def _captured(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _shoot_terminal(page: Any, text: str, folder: Path) -> None:
    console = Console(record=True, width=COLUMNS, file=(folder / "terminal.txt").open("w"))
    console.print(Text.from_ansi(text.rstrip()))
    picture = folder / "terminal.html"
    picture.write_text(console.export_html(inline_styles=True), "utf-8")
    page.set_window_size(1100, 600)
    page.get(picture.as_uri())
    page.execute_script("document.querySelector('pre').style.padding = '8px'")
    page.find_element("css selector", "pre").screenshot(str(PICTURES / "terminal.png"))


def _shoot_dashboard(page: Any, where: list[str]) -> None:
    page.set_window_size(1300, 1000)
    with dashboard(*where) as address:
        study = f"{address}dashboard/studies/{_study_id(address)}"
        page.get(study)
        _wait(page, "return document.querySelectorAll('#plot-history .main-svg .trace').length > 0")
        page.save_screenshot(str(PICTURES / "dashboard_study.png"))
        page.get(f"{study}/trials?numbers={_best(where)}")
        pictures = "[...document.querySelectorAll('img')].filter(i => i.naturalWidth > 300)"
        _wait(page, f"return {pictures}.length > 1")
        page.execute_script(f"{pictures}[0].scrollIntoView({{block: 'center'}})")
        page.save_screenshot(str(PICTURES / "dashboard_trial.png"))


def _study_id(address: str) -> int:
    with urllib.request.urlopen(f"{address}api/studies") as answer:
        studies = json.load(answer)["study_summaries"]
    return next(study["study_id"] for study in studies if study["study_name"] == STUDY)


def _best(where: list[str]) -> int:
    return int(json.loads(_captured([*AUTOTUNE, "best", STUDY, "--json", *where]))["trial"])


def _shoot_sections(page: Any, report: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        _open_report(page, report, scheme)
        page.save_screenshot(str(folder / f"top_{scheme}.png"))
        for section in page.find_elements("css selector", "section"):
            _shoot_whole(page, section, folder / f"{section.get_attribute('id')}_{scheme}.png")


def _shoot_whole(page: Any, element: Any, picture: Path) -> None:
    """Save a picture of an element that may be longer than the window."""
    rectangle = "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    box = page.execute_script(rectangle, element)
    clip = {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 1}
    asked = {"clip": clip, "captureBeyondViewport": True}
    picture.write_bytes(base64.b64decode(page.execute_cdp_cmd("Page.captureScreenshot", asked)["data"]))


def _open_report(page: Any, report: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.set_window_size(1000, 1100)
    page.get(report)


def _wait(page: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 60, poll_frequency=0.1).until(lambda page: page.execute_script(script))


if __name__ == "__main__":
    sys.exit(main())
