"""Continuous integration: it finds or installs a browser where it may, and says which tests were skipped, and why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skips
from skips import NEEDS_BROWSER, SKIPPED, without_browser

ROOT = Path(__file__).resolve().parent.parent
TOOLS = [
    "bash",
    "cat",
    "chmod",
    "dirname",
    "env",
    "mktemp",
    "rm",
    "sort",
    "tail",
    "timeout",
    "touch",
    "true",
    "uniq",
    "wc",
]
ROOT_USER, USER = "echo 0", "echo 1000"
# Stands for all tests: says whether there has to be a browser, and skips three.
CHECKS = f"""
echo "checks, browser needed: ${{{NEEDS_BROWSER}:-no}}"
printf 'no GPU\\nno network\\nno GPU\\n' >>"${SKIPPED}"
exit ${{CODE:-0}}
"""
# Stands for apt-get: what it installs lies in the folder that it is in.
APT = """
echo "apt-get $*" >>"$(dirname "$0")/asked"
if [ "$1" = install ]; then
    touch "$(dirname "$0")/chromium" "$(dirname "$0")/chromedriver"
    chmod +x "$(dirname "$0")/chromium" "$(dirname "$0")/chromedriver"
fi
"""


class Place:
    """A checkout with `.ci/run` and stand-ins for all that it calls, on a machine with nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.binaries = folder, folder / "bin"
        for name in ("bin", ".ci", "scripts"):
            (folder / name).mkdir()
        for tool in TOOLS:
            (self.binaries / tool).symlink_to(str(shutil.which(tool)))
        shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
        self.write("scripts/test", CHECKS)

    def write(self, name: str, code: str) -> None:
        (self.folder / name).write_text(f"#!{shutil.which('bash')}\n{code}\n")
        (self.folder / name).chmod(0o755)

    def run(self, **environment: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [str(self.folder / ".ci" / "run")],
            cwd="/",
            env={"PATH": str(self.binaries), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    def asked(self) -> list[str]:
        file = self.binaries / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_browser_is_installed_by_root_and_then_needed(place: Place) -> None:
    place.write("bin/id", ROOT_USER)
    place.write("bin/apt-get", APT)
    code, said = place.run()
    assert code == 0
    assert [line.split()[1] for line in place.asked()] == ["update", "install"]
    assert place.asked()[1].endswith("chromium chromium-driver")
    assert "checks, browser needed: 1" in said
    assert said[-4:-2] == ["Browser: installed.", "3 tests were skipped."]
    assert [line.split() for line in said[-2:]] == [["2", "no", "GPU"], ["1", "no", "network"]]


def test_a_user_installs_a_browser_if_sudo_asks_for_no_password(place: Place) -> None:
    place.write("bin/id", USER)
    place.write("bin/apt-get", APT)
    place.write("bin/sudo", '[ "$1" = -n ] && shift && exec "$@"')
    assert "Browser: installed." in place.run()[1]


def test_a_browser_that_is_there_is_taken_and_needed(place: Place) -> None:
    place.write("bin/id", ROOT_USER)
    place.write("bin/apt-get", APT)
    place.write("bin/chromium", "")
    place.write("bin/chromedriver", "")
    _, said = place.run()
    assert place.asked() == []
    assert "Browser: found." in said
    assert "checks, browser needed: 1" in said


@pytest.mark.parametrize(
    ("user", "apt", "why"),
    [
        (ROOT_USER, None, "Browser: none, and no apt-get to install it with."),
        (USER, APT, "Browser: none, and no right to install it (root, or sudo without a password)."),
        (ROOT_USER, "echo no network; exit 100", "Browser: none, and apt-get could not install it"),
    ],
)
def test_without_a_browser_the_checks_run_and_it_is_said_why(
    place: Place, user: str, apt: str | None, why: str
) -> None:
    place.write("bin/id", user)
    if apt is not None:
        place.write("bin/apt-get", apt)
    code, said = place.run()
    assert code == 0
    assert "checks, browser needed: no" in said
    assert said[-4].startswith(why)


def test_the_checks_decide_how_it_ends(place: Place) -> None:
    place.write("bin/id", USER)
    code, said = place.run(CODE="7")
    assert code == 7
    assert "3 tests were skipped." in said


def test_a_missing_browser_fails_a_test_where_there_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NEEDS_BROWSER, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser: chromium not found"):
        without_browser("no browser: chromium not found")
    monkeypatch.setenv(NEEDS_BROWSER, "1")
    with pytest.raises(pytest.fail.Exception, match="no browser: chromium not found, but"):
        without_browser("no browser: chromium not found")


SKIPPED_TESTS = """
import pytest


def test_one():
    pytest.skip("no GPU\\nhere")


@pytest.mark.skipif(True, reason="no network")
def test_two():
    pass


def test_three():
    pass
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_the_reason_of_each_skipped_test_is_written_once(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED_TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "skips", *options, str(tmp_path)]
    environment = {**os.environ, SKIPPED: str(tmp_path / "skipped"), "PYTHONPATH": str(Path(skips.__file__).parent)}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert sorted((tmp_path / "skipped").read_text().splitlines()) == ["no GPU here", "no network"]


def test_all_tests_write_their_reasons(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.is_registered(skips)
