"""The package reads from top to bottom: what may import what, and which names stay where they are.

The order of the rooms is that of README's listing, the order in a room that of its docstring. Imports inside functions
and under `if TYPE_CHECKING:` count too. What is not covered: modules named in strings (`importlib.import_module`).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "autotune"
LISTED = re.compile(r"^([\w/ ]*[\w/])  +\S", re.MULTILINE)  # names, and behind them what they are


class Import(NamedTuple):
    module: str  # "autotune.data.splits.folds", the module that is imported from
    name: str  # "Holdout", or "" where the module itself is imported


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed(*folders: Path) -> dict[Path, ast.Module]:
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {path: ast.parse(path.read_text("utf-8"), str(path)) for path in files}


# Read by the first test that asks: every process of a run in parallel collects this file, and few run it.
@cache
def trees() -> dict[Path, ast.Module]:
    return parsed(PACKAGE)


@cache
def modules() -> dict[str, ast.Module]:
    return {module_of(path): tree for path, tree in trees().items()}


@cache
def outside() -> dict[Path, ast.Module]:
    return parsed(ROOT / "studies", ROOT / "scripts")


PACKAGES = {module_of(path) for path in sorted(PACKAGE.rglob("__init__.py"))}


def reading_order() -> list[str]:
    """List the rooms, and the modules that are in none, from README's listing."""
    (listing,) = re.findall(
        r"^```text\n(escaping errors.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    names = " ".join(LISTED.findall(listing)).split()
    return [f"autotune.{name.rstrip('/').replace('/', '.')}" for name in names]


def modules_in(room: str) -> list[str]:
    """List the modules of a room in the order of its docstring."""
    return [f"{room}.{name}" for name in LISTED.findall(ast.get_docstring(modules()[room]) or "")]


ORDER = reading_order()
ROOMS = [name for name in ORDER if name in PACKAGES]
OPEN = {"autotune", "autotune.__main__", "autotune.data"}  # they stand behind all others; study files import from them


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
                is_module = inner in modules() and not offers(source, alias.name)
                found.append(Import(inner, "") if is_module else Import(source, alias.name))
    return [one for one in found if one.module.split(".")[0] == "autotune"]


def offers(module: str, name: str) -> bool:
    """Say whether a module has a name of its own, be there a module of that name or not."""
    nodes = modules()[module].body if module in modules() else []
    return any(alias.name == name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names)


@cache
def places() -> dict[str, str]:
    """Return in which room each module is; one that is in none stands for itself."""
    return {module: place for place in ROOMS for module in [place, *modules_in(place)]} | {
        name: name for name in ORDER if name not in PACKAGES
    }


@cache
def edges() -> list[tuple[str, Import]]:
    return [(here, one) for here, tree in modules().items() if here not in OPEN for one in imports_of(tree, here)]


def calls(tree: ast.Module, name: str) -> bool:
    """Say whether a method or function of that name is called."""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(getattr(one, "attr", getattr(one, "id", "")) == name for one in called)


def mentions(tree: ast.Module, word: str) -> bool:
    """Tell whether the code names `word`: as a name, an attribute, an import, a definition or a string."""
    fields = (value for node in ast.walk(tree) for _, value in ast.iter_fields(node))
    return any(value == word for value in fields if isinstance(value, str))


def test_every_module_is_listed_once() -> None:
    assert {"autotune", "autotune.errors", "autotune.data.splits.folds"} <= modules().keys(), (
        "the package was not found"
    )
    halls = {module for module in PACKAGES if any(room.startswith(f"{module}.") for room in ROOMS)}
    assert modules().keys() - places().keys() == OPEN | halls
    assert len(set(ORDER)) == len(ORDER)
    for room in ROOMS:
        there = {module for module in modules() if module.rpartition(".")[0] == room}
        assert sorted(modules_in(room)) == sorted(there), room
    for hall in halls - {"autotune"}:
        code = [node for node in modules()[hall].body if not isinstance(node, ast.Expr)]
        assert not code or hall == "autotune.data", f"{hall} holds rooms alone"
    passed_on = {one.module for one in imports_of(modules()["autotune.data"], "autotune.data")}
    assert passed_on <= {room for room in ROOMS if room.startswith("autotune.data.")}


def test_a_module_imports_only_from_its_own_room_and_those_above_it() -> None:
    upward = [
        f"{here} imports {one.module}"
        for here, one in edges()
        if ORDER.index(places()[one.module]) > ORDER.index(places()[here])
    ]
    assert not upward


@pytest.mark.parametrize("room", ROOMS)
def test_in_a_room_a_module_imports_only_from_those_listed_above_it(room: str) -> None:
    order = modules_in(room)
    within = [(here, one.module) for here, one in edges() if here in order and places()[one.module] == room]
    assert not [f"{here} imports {there}" for here, there in within if there not in order[: order.index(here)]]


def offered(room: str) -> set[str]:
    """Return what a room offers, by its `__all__`."""
    assigned = [node for node in modules()[room].body if isinstance(node, ast.Assign)]
    return {name for node in assigned for name in ast.literal_eval(node.value)}


def test_a_room_is_entered_by_its_door() -> None:
    """From outside nothing is imported but what its `__init__.py` offers."""
    inside = {module for room in ROOMS for module in modules_in(room)}
    callers = [*edges(), *((str(path), one) for path, tree in outside().items() for one in imports_of(tree))]
    entered = [(here, one) for here, one in callers if places().get(here) != places().get(one.module)]
    assert not [f"{here} imports {one.module}" for here, one in entered if one.module in inside]
    named = [
        (here, one) for here, one in entered if one.module in ROOMS and one.name and one.name not in offered(one.module)
    ]
    assert not [f"{here} imports {one.module}.{one.name}" for here, one in named]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {here: {one.module for one in imports_of(tree, here)} for here, tree in modules().items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_importing_autotune_loads_neither_tensorflow_nor_keras() -> None:
    code = "import sys, autotune; print({'tensorflow', 'keras'} & {*sys.modules}, autotune.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"set() {PACKAGE / '__init__.py'}"


def test_the_command_line_has_nothing_to_import_before_it_knows_the_command() -> None:
    code = "import sys, autotune.cli; print({'optuna', 'numpy', 'rich', 'sqlalchemy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_commands_print_takes_no_time_to_import() -> None:
    code = "import sys, autotune.cli, autotune.terminal, autotune.running.engine, autotune.results.advice;"
    code += "print({'tensorflow', 'keras', 'matplotlib', 'scipy', 'sklearn', 'boto3'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_only_one_module_opens_the_test_rows() -> None:
    """`load_test` is defined in data/ and used in results/final/opening.py, and so is a study's own `test_dataset`."""
    door = "autotune.results.final.opening"
    users = {module for module, tree in modules().items() if mentions(tree, "load_test")}
    assert users == {"autotune.data", "autotune.data.sources", "autotune.data.sources.named", door}
    callers = {module for module, tree in modules().items() if calls(tree, "test_dataset")}
    assert callers == {door}
    opened = [
        here for here, tree in modules().items() if any(one.name == "OpenTestRows" for one in imports_of(tree, here))
    ]
    assert opened == ["autotune.results.final.finalizing"]
    assert not [
        str(path) for path, tree in outside().items() if mentions(tree, "load_test") or calls(tree, "test_dataset")
    ]


def test_names_with_a_leading_underscore_stay_in_their_file() -> None:
    callers = [*modules().items(), *((str(path), tree) for path, tree in outside().items())]
    taken = [
        f"{here} imports {one.module}.{one.name}"
        for here, tree in callers
        for one in imports_of(tree, here)
        if any(part[:1] == "_" and part[:2] != "__" for part in [*one.module.split("."), one.name])
    ]
    assert not taken


# What is used of other projects' insides, by the module that alone may: docs/architecture.md says what each buys.
INSIDES = {
    "autotune.keras_inside": {
        *("_distribution_strategy", "_flatten_layers", "_fn", "_fn_kwargs", "_preprocess", "_writers"),
        *("_distributed_dataset", "_initial_epoch", "keras.src.backend.common"),
    },
    "autotune.optuna_inside": {"_storage", "_study_id", "_trial_id", "optuna.study._frozen"},
    "autotune.results.dashboard.serving": {"optuna_dashboard._bottle_util"},
    "autotune.running.storages.journal": {"_replay_result", "_thread_lock", "_worker_id_to_owned_trial_id"},
    "autotune.running.storages.postgresql": {"_create_new_trial"},
    "autotune.running.storages.quick": {"_set_trial_param"},
    "autotune.running.storages.serving": {*("optuna.storages._grpc.auto_generated", "optuna.storages._grpc.servicer")},
    "autotune.running.storages.sqlite": {"_create_new_trial"},
    "autotune.running.storages.tables": {"_backend", "optuna.storages._rdb", "optuna.study._frozen"},
    "autotune.search.pruners.optuna_settings": {
        *("_percentile", "_n_startup_trials", "_n_warmup_steps", "_interval_steps", "_n_min_trials"),
        *("_min_resource", "_max_resource", "_reduction_factor", "_min_early_stopping_rate", "_n_brackets"),
        *("_get_bracket_id", "_trial_allocation_budgets", "_try_initialization"),
    },
    "autotune.training.fitting.arguments": {"_model"},
    "autotune.training.fitting.epoch_keeper": {"train_function"},
    "autotune.training.fitting.grouping": {"make_train_function", "train_function"},
    "autotune.training.state.callback_state": {"_model"},
    "autotune.training.state.variables": {"_inbound_nodes", "_model", "_value"},
}


TOLD = {"_backend", "optuna_dashboard._bottle_util", "_inbound_nodes", "_value", "_model"}  # named in strings


def own_names(tree: ast.Module) -> set[str]:
    """List what a module defines: functions, classes, fields, and attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {one.id for one in targets if isinstance(one, ast.Name)}
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
    return found


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def used_insides(tree: ast.Module, everywhere: set[str]) -> set[str]:
    """List what a module uses of other packages that begins with an underscore; `everywhere` are the package's own."""
    own = own_names(tree)
    of_optuna = {"_storage", "_study_id", "_trial_id", "_create_new_trial", "_get_trials", "_set_trial_param"}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr[:1] == "_" and node.attr[:2] != "__":
            is_own = node.attr in everywhere if is_self(node.value) else node.attr in own - of_optuna
            found |= set() if is_own or ast.unparse(node) == "os._exit" else {node.attr}
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [one.name for one in node.names] if isinstance(node, ast.Import) else []
        found |= {one for one in modules if re.search(r"(^|\.)_(?!_)|^(keras\.src|tensorflow\.python)", one)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in TOLD:
            found.add(node.value)
    return found | {name for name in ("train_function", "make_train_function") if mentions(tree, name)}


def test_other_projects_insides_are_used_where_the_page_says() -> None:
    everywhere = set().union(*map(own_names, trees().values()))
    used = {module: found for module, tree in modules().items() if (found := used_insides(tree, everywhere))}
    assert used == INSIDES
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert not [module for module in INSIDES if module.removeprefix("autotune.").replace(".", "/") + ".py" not in page]


def test_nothing_that_others_wrote_is_run() -> None:
    """Keras's safe mode stays on, and pickles come over pipes alone."""
    keywords = [
        (here, one.arg, getattr(one.value, "value", None))
        for here, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for one in node.keywords
    ]
    unsafe = {("safe_mode", False), ("allow_pickle", True), ("shell", True)}
    assert not [here for here, name, value in keywords if (name, value) in unsafe]
    assert not [here for here, tree in modules().items() if mentions(tree, "enable_unsafe_deserialization")]
    unpickled = {here for here, tree in modules().items() if calls(tree, "loads") and mentions(tree, "pickle")}
    doors = ("trial.answering", "study.source", "processes.child")
    assert unpickled == {f"autotune.running.{name}" for name in doors}
