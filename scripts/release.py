"""Build the sdist and the wheel, look into them, and run a first search with the wheel alone.

    scripts/release                 into dist/, tried in an empty environment elsewhere: minutes, and 3 GB for a while
    scripts/release --only-build    without the environment and the search
    scripts/release --out FOLDER    into another folder

What is built are the files that Git knows, or would know, in a folder elsewhere: nothing of an earlier build gets in.
The wheel is built from the sdist, so both are tried. The search is that of README's study file, in an environment and a
folder that know nothing of this checkout. All of it needs Git and the extra `dev`; the environment also needs a package
index. Nothing is published.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from autotune.distribution import DISTRIBUTION, VERSION

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "autotune = autotune.cli:main"
# What would make the environment less empty than it looks, or the search another one.
_HIDDEN = {
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "XDG_STATE_HOME"),
    *("OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER", help="default: dist/")
    parser.add_argument("--only-build", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        wheel, sdist = build(Path(folder))
        faults = [*faults_of_version(), *faults_of(wheel)]
        if not faults and not options.only_build:
            search(wheel, Path(folder) / "elsewhere")
        if faults:
            print("NOT A RELEASE:", *faults, sep="\n  ", file=sys.stderr)
            return 1
        options.out.mkdir(parents=True, exist_ok=True)
        for file in (sdist, wheel):
            print(f"{shutil.copy(file, options.out)}  {file.stat().st_size / 1000:.0f} kB")
    print(f"{DISTRIBUTION} {VERSION} of commit {_commit()}")
    return 0


def build(folder: Path) -> tuple[Path, Path]:
    """Build the wheel from the sdist, and the sdist from a copy of the checkout; returns their paths in `folder`."""
    copy = folder / "checkout"
    for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():  # what was deleted and not committed is still listed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    # Without isolation: the extra `dev` has what a build needs, and so it needs no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(copy)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nThe build failed, as said above. It needs the packages of the extra dev.")
    (wheel,), (sdist,) = ((folder / "dist").glob(f"*{ending}") for ending in (".whl", ".tar.gz"))
    return wheel, sdist


def faults_of_version() -> list[str]:
    """Say what is wrong with the changelog: a version that people install has a section there."""
    has_section = re.search(rf"^## \[{re.escape(VERSION)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    return [] if has_section else [f"CHANGELOG.md has no section [{VERSION}]"]


def faults_of(wheel: Path) -> list[str]:
    """Say what is in the wheel and should not be there, and what should be there and is not."""
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if not name.endswith("/")}
        facts = {Path(name).name: archive.read(name).decode() for name in there if ".dist-info/" in name}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "autotune").rglob("*.py")} | {"autotune/py.typed"}
    of_package = {name for name in there if not name.split("/")[0].endswith(".dist-info")}
    said = {f"Name: {DISTRIBUTION}", f"Version: {VERSION}"} - {*facts["METADATA"].splitlines()}
    return [
        *(f"{name} is missing" for name in sorted(package - of_package)),
        *(f"{name} does not belong there" for name in sorted(of_package - package)),
        *(f"METADATA does not say {line!r}" for line in sorted(said)),
        *([] if COMMAND in facts.get("entry_points.txt", "") else [f"no command {COMMAND!r}"]),
        *([] if "LICENSE" in facts else ["no licence"]),
    ]


def search(wheel: Path, folder: Path) -> None:
    """Install the wheel in a new environment in `folder`, and run README's study file there."""
    (folder / "home").mkdir(parents=True)
    (folder / "blocks.py").write_text(first_study())
    print(f"Installing {wheel.name} in an empty environment (minutes) ...", flush=True)
    _run([sys.executable, "-m", "venv", "environment"], folder)
    _run(["environment/bin/python", "-m", "pip", "install", "--quiet", "--no-input", str(wheel)], folder)
    _run(["environment/bin/autotune", "--version"], folder)
    _run(["environment/bin/python", "-c", "import autotune; print(autotune.__version__, autotune.__file__)"], folder)
    _run(["environment/bin/autotune", "run", "blocks.py"], folder)
    _run(["environment/bin/autotune", "best", "blocks"], folder)


def first_study() -> str:
    """Return the study file that README shows."""
    examples = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return next(example for example in examples if 'name="blocks"' in example)


def _run(command: Sequence[str], folder: Path) -> None:
    print("$", *command, flush=True)
    kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    code = subprocess.run(command, cwd=folder, env={**kept, "HOME": str(folder / "home")}).returncode
    if code:
        sys.exit(f"This command failed in an empty environment (exit code {code}).")


def _commit() -> str:
    changed = " and changes that are not committed" if _git("status", "--porcelain").strip() else ""
    return _git("rev-parse", "--short", "HEAD").strip() + changed


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
