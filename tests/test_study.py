"""A study file is checked as it is read, and says in three parts what is wrong with it."""

from __future__ import annotations

import ast
import dataclasses
import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.data.splits import Holdout, KFold
from autotune.errors import StudyFileError
from autotune.study import Overrides, StudySpec, imports_keras, load_study_file
from autotune.study.loading import check_study_file

TOY = """
from autotune import StudySpec

def objective(trial):
    return trial.suggest_float("x", 0, 1)

study = StudySpec(name="toy", objective=objective, direction="minimize", seed={seed})
"""


def build(trial: Any, data: Any) -> Any:
    raise NotImplementedError


def keras_study(**changes: Any) -> StudySpec:
    given: dict[str, Any] = {
        "name": "mnist-cnn",
        "direction": "maximize",
        "build": build,
        "dataset": "digits",
        "monitor": "val_accuracy",
    }
    return StudySpec(**{**given, **changes})


@pytest.fixture(autouse=True)
def _imports_stay_in_their_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("autotune_study_", "neighbour_")):
            del sys.modules[name]


def study_file(folder: Path, text: str, name: str = "toy.py") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refusal(path: Path) -> StudyFileError:
    with pytest.raises(StudyFileError) as caught:
        load_study_file(path)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "happened", "expected"),
    [
        ({"name": "a/b"}, "name='a/b'", "no slash"),
        ({"name": "a\\b"}, "cannot name a study", "no slash or backslash"),
        ({"name": ""}, "name=''", "at least one character"),
        ({"name": "  "}, "name='  '", "at least one character"),
        ({"name": ".."}, "name='..'", "folder"),
        ({"name": None}, "name=None", "folder"),
        ({"objective": len}, "an objective and also build, dataset, monitor", "either"),
        ({"objective": len, "dataset": None, "monitor": None}, "an objective and also build.", "either"),
        ({"train_fraction": 0}, "train_fraction=0 ", "larger than 0 and at most 1"),
        ({"train_fraction": 1.5}, "train_fraction=1.5", "larger than 0 and at most 1"),
        ({"train_fraction": True}, "train_fraction=True", "share of the training rows"),
        ({"train_fraction": "half"}, "train_fraction='half'", "share of the training rows"),
        (
            {"objective": len, "build": None, "dataset": None, "monitor": None, "train_fraction": 0.5},
            "an objective and also train_fraction=0.5",
            "in a Keras study",
        ),
        ({"epochs_per_pass": 0}, "epochs_per_pass=0 ", "at least 1"),
        (
            {"objective": len, "build": None, "dataset": None, "monitor": None, "epochs_per_pass": 5},
            "an objective and also epochs_per_pass=5",
            "in a Keras study",
        ),
        ({"build": None}, "no build.", "needs build, dataset and monitor"),
        ({"build": None, "monitor": None}, "no build and no monitor", "plain Optuna study needs objective"),
        ({"dataset": None}, "no dataset", "needs build, dataset and monitor"),
        ({"direction": "up"}, "direction='up'", "Choices: maximize, minimize."),
        ({"minimize": ["flops"]}, "minimize=['flops'] is unknown", "'parameters', 'latency'"),
        ({"minimize": ["latency", "latency"]}, "minimize=['latency', 'latency'] is unknown", "each at most once"),
        ({"minimize": "latency"}, "minimize='latency' is unknown", "Expected a list"),
        (
            {"objective": len, "build": None, "dataset": None, "monitor": None, "minimize": ["latency"]},
            "an objective and also minimize=['latency']",
            "in a Keras study",
        ),
        ({"epoch_policy": "first"}, "epoch_policy='first'", "Choices: best, last."),
        ({"build": 3}, "build=3 cannot be called", "takes a trial"),
        ({"fit": {"batch_size": 64}}, "fit={'batch_size': 64} cannot be called", "takes a trial"),
        ({"folds": 5}, "folds=5", "KFold(k)"),
        ({"epochs": 0}, "epochs=0", "an integer of at least 1"),
        ({"epochs": 2.5}, "epochs=2.5", "an integer of at least 1"),
        ({"epochs": True}, "epochs=True", "an integer of at least 1"),
        ({"n_trials": 0}, "n_trials=0", "an integer of at least 1"),
        ({"seed": -1}, "seed=-1", "an integer of at least 0"),
        ({"seed": None}, "seed=None", "an integer of at least 0"),
        ({"keep_models": -1}, "keep_models=-1", "an integer of at least 0"),
        ({"max_failures_in_a_row": 0}, "max_failures_in_a_row=0", "an integer of at least 1"),
        ({"sampler": optuna.samplers.RandomSampler()}, "sampler is a RandomSampler object", "from a seed to a sampler"),
        ({"sampler": "tpe"}, "sampler is a str object", "from a seed to a sampler"),
        ({"pruner": "median"}, "pruner='median' is no Optuna pruner", "optuna.pruners.MedianPruner"),
        ({"pruner": optuna.pruners.MedianPruner}, "is no Optuna pruner", "Expected an object"),
    ],
    ids=lambda value: repr(value)[:50] if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], happened: str, expected: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        keras_study(**changes)
    assert happened in caught.value.happened
    assert expected in caught.value.expected
    lines = str(caught.value).splitlines()
    assert lines[0] == f"StudyFileError: {caught.value.happened}"
    assert lines[1:] == [f"  {caught.value.expected}", f"  {caught.value.fix}"]
    assert caught.value.fix.endswith(".")


def test_the_fix_of_a_sampler_object_names_its_own_kind() -> None:
    with pytest.raises(StudyFileError, match=r"sampler=lambda seed: optuna\.samplers\.RandomSampler\(seed=seed\)"):
        keras_study(sampler=optuna.samplers.RandomSampler())


def test_both_kinds_of_study_are_accepted() -> None:
    assert keras_study(sampler=lambda seed: optuna.samplers.RandomSampler(seed), keep_models=0).epochs == 10
    plain = StudySpec(name="toy", objective=len, direction="minimize", pruner=optuna.pruners.NopPruner())
    assert plain.build is None


def test_a_study_cannot_be_changed_after_its_check() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        keras_study().epochs = 0  # type: ignore[misc]  # reason: this is what is tested


def test_overrides_replace_what_they_name_and_leave_the_rest() -> None:
    spec = keras_study(folds=Holdout(0.2), epochs=7, seed=3)
    assert Overrides().apply(spec) == spec
    changed = Overrides(name="other", epochs=2, folds=4, seed=0).apply(spec)
    assert changed == dataclasses.replace(spec, name="other", epochs=2, folds=KFold(4), seed=0)
    assert Overrides(epochs=2).apply(spec) == dataclasses.replace(spec, epochs=2)


def test_overrides_are_checked_like_the_study_file() -> None:
    with pytest.raises(StudyFileError, match="epochs=0 is out of range"):
        Overrides(epochs=0).apply(keras_study())


def test_a_study_file_declares_its_study(tmp_path: Path) -> None:
    path = study_file(tmp_path, TOY.format(seed=5))
    spec = load_study_file(str(path))
    assert (spec.name, spec.seed) == ("toy", 5)
    assert spec.objective is not None
    assert spec.objective(optuna.trial.FixedTrial({"x": 0.25})) == 0.25


def test_a_missing_study_file_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "absent.py")
    assert f"{tmp_path / 'absent.py'} cannot be read: No such file or directory" in error.happened


def test_a_folder_is_no_study_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path).happened


@pytest.mark.parametrize("content", [b"study = '\xff'\n", b"study = 1\0\n"], ids=["not UTF-8", "null byte"])
def test_a_file_that_is_no_text_is_no_study_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "binary.py"
    path.write_bytes(content)
    assert str(path) in refusal(path).happened


def test_a_syntax_error_is_shown_with_its_line(tmp_path: Path) -> None:
    path = study_file(tmp_path, "import math\n\nstudy = StudySpec(name=\n")
    error = refusal(path)
    assert error.happened.startswith(f"{path}, line 3: ")
    assert "study = StudySpec(name=" in error.happened
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in error.expected


def test_an_exception_is_shown_with_the_line_of_the_study_file_that_caused_it(tmp_path: Path) -> None:
    study_file(tmp_path, "def fail():\n\n\n\n    return {}['depth']\n", "neighbour_fails.py")
    path = study_file(tmp_path, "import neighbour_fails\n\nneighbour_fails.fail()\n")
    error = refusal(path)
    assert error.happened == f"{path} stopped with KeyError: 'depth' (neighbour_fails.py:5)."
    assert f"python {path}" in error.fix
    assert isinstance(error.__cause__, KeyError)


def test_a_study_file_that_exits_does_not_take_the_command_with_it(tmp_path: Path) -> None:
    path = study_file(tmp_path, TOY.format(seed=0) + "raise SystemExit('no data today')\n")
    assert refusal(path).happened == f"{path} stopped with SystemExit: no data today (toy.py:8)."


def test_a_mistake_in_the_study_keeps_its_own_words(tmp_path: Path) -> None:
    path = study_file(tmp_path, TOY.format(seed=-1))
    assert refusal(path).happened == "seed=-1 is out of range."


@pytest.mark.parametrize(
    ("text", "found"),
    [("x = 1\n", "`study` is missing"), ("study = {}\n", "`study` is dict"), ("study = None\n", "`study` is missing")],
)
def test_a_file_without_a_study_is_refused(text: str, found: str, tmp_path: Path) -> None:
    error = refusal(study_file(tmp_path, text))
    assert found in error.happened
    assert "study = StudySpec(" in error.expected


def test_a_study_file_imports_its_neighbours(tmp_path: Path) -> None:
    study_file(tmp_path, "SEED = 11\n", "neighbour_settings.py")
    text = "from neighbour_settings import SEED\n" + TOY.replace("{seed}", "SEED")
    assert load_study_file(study_file(tmp_path, text)).seed == 11


def test_dataclasses_and_annotations_work_in_a_study_file(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\n"
        "import dataclasses, pickle, typing\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Widths:\n"
        "    first: int = 8\n"
        "    kinds: typing.ClassVar[int] = 2\n"
        "assert [field.name for field in dataclasses.fields(Widths)] == ['first']\n"
        "assert typing.get_type_hints(Widths)['first'] is int\n"
        "assert pickle.loads(pickle.dumps(Widths(3))) == Widths(3)\n"
    ) + TOY.format(seed=1)
    assert load_study_file(study_file(tmp_path, text)).seed == 1


def test_a_study_file_knows_its_own_path(tmp_path: Path) -> None:
    text = "import pathlib\nHERE = pathlib.Path(__file__).parent\n" + TOY.replace('"toy"', "HERE.name")
    folder = tmp_path / "questions"
    folder.mkdir()
    assert load_study_file(study_file(folder, text.format(seed=0))).name == "questions"


def test_code_under_the_main_guard_does_not_run(tmp_path: Path) -> None:
    text = TOY.format(seed=1) + "if __name__ == '__main__':\n    raise SystemExit('run as a script')\n"
    assert load_study_file(study_file(tmp_path, text)).name == "toy"


def test_an_edit_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    path = study_file(tmp_path, TOY.format(seed=1))
    before = path.stat()
    assert load_study_file(path).seed == 1
    study_file(tmp_path, TOY.format(seed=2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert load_study_file(path).seed == 2


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import keras", True),
        ("import tensorflow as tf", True),
        ("from keras.layers import Dense", True),
        ("import keras.layers", True),
        ("from autotune import StudySpec, models", True),
        ("from autotune.models import build_cnn", True),
        ("def build(trial, data):\n    import keras", True),
        ("import optuna\nfrom autotune import StudySpec", False),
        ("import keras_tuner", False),
        ("from autotune.data import Dataset", False),
        ("keras = None", False),
        ("from . import keras_like", False),
    ],
)
def test_a_file_that_imports_keras_is_recognised_without_running_it(code: str, needed: bool) -> None:
    assert imports_keras(ast.parse(code)) is needed


@pytest.fixture
def _threads_that_take_turns() -> Iterator[None]:
    """Let other threads run as often as there is garbage to collect, which Python's parser makes."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()

    def run_others(phase: str, info: dict[str, int]) -> None:
        sum(range(50))

    sys.setswitchinterval(1e-6)
    gc.set_threshold(10)
    gc.callbacks.append(run_others)
    yield
    gc.callbacks.remove(run_others)
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_threads_that_take_turns")
def test_study_files_are_read_in_several_threads_at_once(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text("x = [(1 + 2) * 3, {'a': [1, [2, [3]]]}]\n" * 100)
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(check_study_file, [file] * 40))
    assert {len(tree.body) for tree in trees} == {100}
