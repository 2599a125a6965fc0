"""The dashboard, over HTTP and in a real browser."""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from command_line import autotune
from optuna.study._frozen import FrozenStudy
from skips import without_browser

from autotune.results.dashboard.serving import dashboard_app


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/study.db"
    study = optuna.create_study(study_name="shown", storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return url


@pytest.fixture(scope="module")
def page(storage: str) -> Iterator[str]:
    command = [sys.executable, "-m", "autotune", "dashboard", "--storage", storage, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address is not None
        yield address[0]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def test_it_serves_the_studies_of_the_storage(page: str) -> None:
    with urllib.request.urlopen(f"{page}api/studies") as answer:
        (study,) = json.load(answer)["study_summaries"]
    assert study["study_name"] == "shown"


def test_it_shows_the_trials_in_a_browser(page: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        without_browser("no Chromium on this machine")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += ["--disable-quic"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=20000", "--dump-dom"]
    address = f"{page}dashboard/studies/1/trials"
    result = subprocess.run([browser, *flags, address], capture_output=True, text=True, check=True)
    for number in range(3):
        assert f"Trial {number}" in result.stdout


def test_a_port_in_use_is_plain(storage: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = autotune("dashboard", "--storage", storage, "--port", str(port))
    assert result.returncode == 2
    assert f"port {port} cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_goes_wrong_while_a_page_is_made_is_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(optuna.storages.InMemoryStorage):
        def get_all_studies(self) -> list[FrozenStudy]:
            raise RuntimeError("no such luck\nin two lines")

    environ: dict[str, Any] = {"PATH_INFO": "/api/studies", "HTTP_HOST": "127.0.0.1"}
    setup_testing_defaults(environ)
    logger = logging.getLogger("optuna_dashboard._bottle_util")
    caplog.set_level(logging.ERROR, logger.name)
    logger.addHandler(caplog.handler)  # what is said need not come to the root
    b"".join(dashboard_app(Broken(), tmp_path)(environ, lambda *head: None))
    logger.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"Exception: no such luck"}
