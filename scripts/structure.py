"""How the package is built, in numbers, for one tree or for two side by side.

For each tree: files and lines; lines of functions and their parameters (median, 90th percentile, most); how deep
imports go, from a module that imports nothing of the package; rooms, with the most files that one has; and the files of
the package whose functions run while `autotune run` trains one trial of a Keras study with one epoch, in all processes.

Usage: python scripts/structure.py [TREE ...]
E.g.   git worktree add /tmp/before COMMIT && python scripts/structure.py /tmp/before .

Measured: commit 7278667, before large rooms were divided, and the commit that divided them. The `__init__.py` files,
which list and offer what is in a room, are 1,050 of the lines that came, and a step in each import from another room.

    files                              228             259
    lines                            31390           32497
    lines of a function         7, 19, 115      7, 19, 115
    parameters                    2, 4, 20        2, 4, 20
    import depth                        29              45
    rooms with files                    10              34
    most files in a room                66              13
    files of one trial                 131             133
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Container
from functools import cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Runs at the start of each Python process: notes each file of the package in which a function is called.
_NOTING = """
import os, sys, threading
_seen = set()
def _note(frame, event, argument):
    code = frame.f_code
    name = code.co_filename
    if name not in _seen and code.co_flags & 1 and name.startswith(os.environ["STRUCTURE_PACKAGE"]):  # 1: a function
        _seen.add(name)
        with open(os.environ["STRUCTURE_NOTES"], "a") as notes:
            notes.write(name + "\\n")
sys.setprofile(_note)
threading.setprofile(_note)
"""
_STUDY = """
import keras
from autotune import Holdout, StudySpec

def build(trial, data):
    layers = [keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dense(data.n_classes, "softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(trial.suggest_float("rate", 1e-4, 1e-2, log=True)),
                  loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset="digits", folds=Holdout(0.2), build=build, monitor="val_accuracy",
                  direction="maximize", epochs=1, n_trials=1, seed=0)
"""


def measure(tree: Path) -> dict[str, str]:
    """Return what there is to say of one tree."""
    package = tree.resolve() / "autotune"
    files = {path: path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    parsed = {path: ast.parse(text) for path, text in files.items()}
    functions = [node for one in parsed.values() for node in ast.walk(one) if isinstance(node, Function)]
    rooms = [len(list(folder.glob("*.py"))) - 1 for folder in {path.parent for path in files} - {package}]
    return {
        "files": f"{len(files)}",
        "lines": f"{sum(len(text.splitlines()) for text in files.values())}",
        "lines of a function": _spread([(one.end_lineno or one.lineno) - one.lineno + 1 for one in functions]),
        "parameters": _spread([len(one.args.posonlyargs + one.args.args + one.args.kwonlyargs) for one in functions]),
        "import depth": f"{_depth(parsed, package)}",
        "rooms with files": f"{sum(n > 0 for n in rooms)}",
        "most files in a room": f"{max(rooms)}",
        "files of one trial": f"{len(files_of_a_trial(package))}",
    }


def _spread(numbers: list[int]) -> str:
    return f"{statistics.median(numbers):.0f}, {statistics.quantiles(numbers, n=10)[-1]:.0f}, {max(numbers)}"


def _depth(parsed: dict[Path, ast.Module], package: Path) -> int:
    """Return the most modules in a row of which each imports the next one."""
    modules = {_module(path, package): tree for path, tree in parsed.items()}

    @cache
    def depth(module: str) -> int:
        names = (name for node in ast.walk(modules[module]) for name in _imported(node, modules))
        return 1 + max((depth(name) for name in set(names) - {module}), default=0)

    return max(map(depth, modules))


def _module(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.AST, modules: Container[str]) -> list[str]:
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        found = [name if name in modules else str(node.module) for name in inner]
    else:
        found = []
    return [name for name in found if name in modules]


def files_of_a_trial(package: Path) -> set[str]:
    """Run one trial and return the files of the package whose functions were called."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        Path(folder, "sitecustomize.py").write_text(_NOTING)
        Path(folder, "study.py").write_text(_STUDY)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([folder, str(package.parent)]),
            "STRUCTURE_PACKAGE": str(package),
            "STRUCTURE_NOTES": str(notes),
            "XDG_STATE_HOME": folder,
        }
        command = [sys.executable, "-m", "autotune", "run", "study.py", "--workers", "1"]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        return set(notes.read_text().splitlines())


def main() -> None:
    """Print a column for each tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, default=[Path(__file__).parent.parent])
    trees = parser.parse_args().trees
    columns = [measure(tree) for tree in trees]
    for name in columns[0]:
        print(f"{name:<22}" + "".join(f"{column[name]:>16}" for column in columns))


if __name__ == "__main__":
    main()
