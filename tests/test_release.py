"""The release script: what it builds, what it refuses, and that its wheel works where there is no checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import release  # scripts/release.py

from autotune.distribution import VERSION

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    if find_spec("build") is None:
        pytest.skip("needs the package build: scripts/environment dev")
    command = [sys.executable, str(ROOT / "scripts" / "release.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.long
def test_the_wheel_is_built_from_the_sdist_and_has_the_package_alone(tmp_path: Path) -> None:
    done = run("--only-build", "--out", "built", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"autotune-keras {VERSION} of commit ")
    names = {path.name for path in (tmp_path / "built").iterdir()}
    assert names == {f"autotune_keras-{VERSION}-py3-none-any.whl", f"autotune_keras-{VERSION}.tar.gz"}
    with tarfile.open(tmp_path / "built" / f"autotune_keras-{VERSION}.tar.gz") as sdist:
        parts = {name.split("/")[1] for name in sdist.getnames() if "/" in name}
    assert {"autotune", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} <= parts
    assert "tests" not in parts
    with zipfile.ZipFile(tmp_path / "built" / f"autotune_keras-{VERSION}-py3-none-any.whl") as wheel:
        there = set(wheel.namelist())
        facts = f"autotune_keras-{VERSION}.dist-info"
        assert "autotune = autotune.cli:main" in wheel.read(f"{facts}/entry_points.txt").decode()
        metadata = wheel.read(f"{facts}/METADATA").decode()
    assert {"autotune/py.typed", "autotune/cli.py", "autotune/data/splits/folds.py"} <= there
    assert {name.split("/")[0] for name in there} == {"autotune", facts}
    assert 'Requires-Dist: ray>=2.45; extra == "ray"' in metadata
    assert "Requires-Dist: autotune[" not in metadata


def test_a_wheel_with_too_much_or_too_little_is_no_release(tmp_path: Path) -> None:
    path = tmp_path / "one.whl"
    facts = {"METADATA": "Name: autotune\nVersion: 0.0\n", "entry_points.txt": "", "RECORD": ""}
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tests/test_cli.py", "")
        for module in (ROOT / "autotune").rglob("*.py"):
            wheel.writestr(module.relative_to(ROOT).as_posix(), "")
        for name, text in facts.items():
            wheel.writestr(f"one.dist-info/{name}", text)
    assert release.faults_of(path) == [
        "autotune/py.typed is missing",
        "tests/test_cli.py does not belong there",
        "METADATA does not say 'Name: autotune-keras'",
        f"METADATA does not say 'Version: {VERSION}'",
        "no command 'autotune = autotune.cli:main'",
        "no licence",
    ]


def test_a_version_without_a_section_in_the_changelog_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    assert release.faults_of_version() == []
    monkeypatch.setattr(release, "VERSION", "9.9")
    assert release.faults_of_version() == ["CHANGELOG.md has no section [9.9]"]


def test_the_first_search_is_that_of_the_readme() -> None:
    assert release.first_study().startswith('"""Does a second convolution block help')


@pytest.mark.slow
def test_the_wheel_runs_the_first_search_in_an_empty_environment(tmp_path: Path) -> None:
    done = run("--out", "built", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"autotune {VERSION}" in done.stdout
    assert "elsewhere/environment/lib" in done.stdout  # where the package was imported from
    assert "4 of 4 trials finished" in done.stdout
    assert len(list((tmp_path / "built").iterdir())) == 2
