"""The package reads from top to bottom: what may import what, and which names stay where they are.

Imports inside functions and under `if TYPE_CHECKING:` count too.
What is not covered: modules named in strings (`importlib.import_module`, `python -m`).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "autotune"

# The reading order: a module imports from its own room and those above it; `autotune` is `__init__.py`.
ROOMS = [
    *(
        "escaping",
        "errors",
        "failures",
        "parsing",
        "study_name",
        "seeds",
        "stopping_rule",
        "data",
        "models",
        "spaces",
        "study",
        "figures",
        "training",
        "search",
        "running",
        "results",
        "progress",
        "printing",
    ),
    *("asking", "options", "result_commands", "autotune", "cli", "__main__"),
]


class Import(NamedTuple):
    module: str  # "autotune.data.folds", the module that is imported from
    name: str  # "Holdout", or "" where the module itself is imported


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {path: ast.parse(path.read_text("utf-8"), str(path)) for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {module_of(path): tree for path, tree in TREES.items()}
PACKAGES = {module_of(path) for path in TREES if path.name == "__init__.py"}
OUTSIDE = {
    path: ast.parse(path.read_text("utf-8"), str(path))
    for folder in ("studies", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "autotune"


def imports_of(tree: ast.Module, module: str = "") -> list[Import]:
    """List what `tree` imports from the package; relative imports are resolved against `module`."""
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".") if module in PACKAGES else module.split(".")[:-1]
            base = above[: len(above) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.append(Import(inner, "") if inner in MODULES else Import(source, alias.name))
    return [one for one in found if one.module.split(".")[0] == "autotune"]


def calls(tree: ast.Module, name: str) -> bool:
    """Say whether a method or function of that name is called."""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(getattr(one, "attr", getattr(one, "id", "")) == name for one in called)


def mentions(tree: ast.Module, word: str) -> bool:
    """Tell whether the code names `word`: as a name, an attribute, an import, a definition or a string."""
    fields = (value for node in ast.walk(tree) for _, value in ast.iter_fields(node))
    return any(value == word for value in fields if isinstance(value, str))


def test_every_module_belongs_to_a_room_in_the_reading_order() -> None:
    assert {"autotune", "autotune.errors"} <= MODULES.keys(), "the package was not found"
    assert {room_of(module) for module in MODULES} <= set(ROOMS)


def test_a_module_imports_only_from_its_own_room_and_those_above_it() -> None:
    edges = [(here, one.module) for here, tree in MODULES.items() for one in imports_of(tree, here)]
    upward = [
        f"{here} imports {there}" for here, there in edges if ROOMS.index(room_of(there)) > ROOMS.index(room_of(here))
    ]
    assert not upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {here: {one.module for one in imports_of(tree, here)} for here, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_importing_autotune_loads_neither_tensorflow_nor_keras() -> None:
    code = "import sys, autotune; print({'tensorflow', 'keras'} & {*sys.modules}, autotune.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"set() {PACKAGE / '__init__.py'}"


def test_what_commands_print_takes_no_time_to_import() -> None:
    code = "import sys, autotune.cli, autotune.printing, autotune.running.run, autotune.results.report.story;"
    code += "print({'tensorflow', 'keras', 'matplotlib', 'scipy', 'sklearn', 'boto3'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_only_one_module_opens_the_test_rows() -> None:
    """`load_test` is defined in data/ and used in results/opening.py, and so is a study's own `test_dataset`."""
    door = "autotune.results.opening"
    users = {module for module, tree in MODULES.items() if mentions(tree, "load_test")}
    assert users == {"autotune.data", "autotune.data.sources", door}
    callers = {module for module, tree in MODULES.items() if calls(tree, "test_dataset")}
    assert callers == {door}
    opened = [
        here for here, tree in MODULES.items() if any(one.name == "OpenTestRows" for one in imports_of(tree, here))
    ]
    assert opened == ["autotune.results.finalizing"]
    assert not [
        str(path) for path, tree in OUTSIDE.items() if mentions(tree, "load_test") or calls(tree, "test_dataset")
    ]


def test_names_with_a_leading_underscore_stay_in_their_file() -> None:
    callers = [*MODULES.items(), *((str(path), tree) for path, tree in OUTSIDE.items())]
    taken = [
        f"{here} imports {one.module}.{one.name}"
        for here, tree in callers
        for one in imports_of(tree, here)
        if any(part[:1] == "_" and part[:2] != "__" for part in [*one.module.split("."), one.name])
    ]
    assert not taken


def test_nothing_that_others_wrote_is_run() -> None:
    """Keras's safe mode stays on, and pickles come over pipes alone."""
    keywords = [
        (here, one.arg, getattr(one.value, "value", None))
        for here, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for one in node.keywords
    ]
    unsafe = {("safe_mode", False), ("allow_pickle", True), ("shell", True)}
    assert not [here for here, name, value in keywords if (name, value) in unsafe]
    assert not [here for here, tree in MODULES.items() if mentions(tree, "enable_unsafe_deserialization")]
    unpickled = {here for here, tree in MODULES.items() if calls(tree, "loads") and mentions(tree, "pickle")}
    assert unpickled == {f"autotune.running.{name}" for name in ("piped_trial", "source", "trial_process")}


def test_no_file_is_longer_than_400_lines() -> None:
    files = [*TREES, *OUTSIDE, *(ROOT / "tests").rglob("*.py")]
    long = {str(path): n for path in files if (n := len(path.read_text("utf-8").splitlines())) > 400}
    assert not long
