"""Export a model with its card, for people who have neither the study nor this package."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna

from autotune.errors import ExportError, UsageError, not_understood
from autotune.escaping import one_line
from autotune.results.final import BASELINE, FinalResult, read_result
from autotune.results.summary import best_trial, provenance, settings_of, stored_study
from autotune.running.study import Places, find_places, places_of_study
from autotune.training.checkpoints import WEIGHTS
from autotune.training.records import MEASURED_AGAIN, n_parameters

# Loads a model, and prints the names, shapes and dtypes of its inputs and outputs in their structure, or null; and what
# `load_model` needs beside the file, if anything.
_LOAD = """
import json, sys, keras
card = {}
try:
    model = keras.models.load_model(sys.argv[1])
except Exception:  # its loss or metrics may be of the study file: predictions do not need them
    model = keras.models.load_model(sys.argv[1], compile=False)
    card["load_with"] = {"compile": False}
def form(tensor):
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}
def forms(name):
    try:
        tensors = getattr(model, name)
    except (AttributeError, ValueError):  # a Sequential model, or one of a class of its own
        tensors = getattr(model, f"{name}s", None)
        tensors = tensors[0] if tensors and len(tensors) == 1 else tensors
    return keras.tree.map_structure(form, tensors) if tensors is not None else None
print(json.dumps({**card, "inputs": forms("input"), "outputs": forms("output")}))
"""


@dataclass(frozen=True)
class Export:
    """The files of an export.

    Attributes:
        model: The model's file.
        card: The card's file, JSON.
        is_final: Whether the model is the winner of `finalize`; otherwise it is the best trial of the search.
    """

    model: Path
    card: Path
    is_final: bool


def export(name: str, output: str | Path, *, storage: str | None = None, run_dir: str | Path | None = None) -> Export:
    """Write `model.keras` and `card.json` of a study's result, and check that Keras alone can load the model.

    For a finalized study the model is the winner's refit with the first seed, not the one with the best test score,
    because that would be a choice by test rows. Otherwise it is the model of the best trial.

    Args:
        name: The study's name.
        output: The folder to write to; made when missing.
        storage: As in `autotune.run`.
        run_dir: As in `autotune.run`.

    Raises:
        UsageError: If there is no such study, or no model of it.
        ExportError: If the model needs more than Keras.
    """
    places = find_places(storage, run_dir, None)
    study = stored_study(places, name)
    settings = settings_of(study)
    result = read_result(study)
    places = places_of_study(name, settings, places)
    path, card = _final(result, places) if result and result.models else _searched(study, result, places)
    if not path.is_file():
        raise UsageError(
            f"the model {path} is not there.",
            "It is on the machine that trained it.",
            "Export on a machine that shares the run dir.",
        )
    if path.name == WEIGHTS:
        raise ExportError(
            f"Keras could not save the model of {name!r}; only its weights are kept, in {path}.",
            "An exported model is a .keras file that Keras alone can load.",
            "Give the model's class a get_config with all arguments of its __init__, and search under another name.",
        )
    folder = Path(output)
    _make(folder)
    model = folder / "model.keras"
    beside = folder / f".{os.getpid()}.keras"
    try:
        shutil.copyfile(path, beside)
        card |= _loaded(beside)
        os.replace(beside, model)
    finally:
        beside.unlink(missing_ok=True)
    card |= {"warnings": [settings.leaks]} if settings.leaks else {}
    card |= {"model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "exported": _now()}
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return Export(model, folder / "card.json", bool(result and result.models))


def _final(result: FinalResult, places: Places) -> tuple[Path, dict[str, Any]]:
    winner, test = result.confirmation.candidate(result.confirmation.winner), result.test
    card = {
        "study": result.study,
        "hyperparameters": dict(winner.params),
        "n_parameters": winner.n_parameters,
        "costs": dict(winner.costs),
        "epochs": result.epochs,
        "repeat_of_this_model": 0,
        "metrics": {
            "test": asdict(test) | {"of_this_model": test.values[0]} if test else None,
            "confirmed": asdict(winner.confirmed) if winner.confirmed else None,
            "search_showed": winner.searched,
        },
        "beats_baseline": _verdict(result),
        "repeats": result.confirmation.repeats,
        "made_with": dict(result.provenance),
    }
    return places.run_dir.joinpath(*_place_of_refit(result)), card


def _place_of_refit(result: FinalResult) -> tuple[str, ...]:
    """Return where the model is below the run dir, which may have been moved since: in a trial's own folder."""
    *_, part, trials, number, file = ("", "", "", *Path(result.models[0]).parts)
    place = (part, trials, number, file)
    is_file = file in ("model.keras", WEIGHTS)
    if part != f"{result.study}.final" or trials != "trials" or not number.isdecimal() or not is_file:
        raise not_understood(result.study, f"its model is said to be {one_line(result.models[0])}")
    return place


def _searched(study: optuna.Study, result: FinalResult | None, places: Places) -> tuple[Path, dict[str, Any]]:
    best = best_trial(study, places)
    if settings_of(study).split is None:
        raise UsageError(
            f"there is no model of {study.study_name!r}: a plain objective trains networks of its own.",
            "Models are kept of studies whose networks `build` makes.",
            "Save what is to be kept in the objective, e.g. when it is called with the best hyperparameters.",
        )
    if best is None or best.model is None:
        raise UsageError(
            f"there is no model of {study.study_name!r}.",
            "There is one of each refit after `autotune finalize`, and of the best trials of a search with a holdout "
            "(keep_models).",
            f"autotune finalize {study.study_name}",
        )
    trial = study.get_trials(deepcopy=False)[best.trial]
    card: Mapping[str, Any] = {
        "study": study.study_name,
        "hyperparameters": best.params,
        "n_parameters": n_parameters(trial),
        "costs": best.costs,
        "epochs": best.epoch,
        "metrics": {"search_showed": best.value, "monitor": best.monitor, "confirmed": None, "test": None},
        **{key: trial.user_attrs[key] for key in (MEASURED_AGAIN,) if key in trial.user_attrs},
        "beats_baseline": _verdict(result) if result else None,
        # Without the device: the trial may have run on another one.
        "made_with": {key: of for key, of in provenance(settings_of(study), None, ()).items() if key != "device"},
    }
    return Path(best.model), dict(card)


def _verdict(result: FinalResult) -> bool | None:
    """Say whether the winner beats the baseline by more than noise; None if there was none to beat."""
    compared = any(one.name == BASELINE for one in result.confirmation.candidates)
    return result.confirmation.beats_baseline if compared else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {folder} cannot be made: {error.strerror}.",
            "model.keras and card.json are written into a folder.",
            "Name another one with -o.",
        ) from error


def _loaded(model: Path) -> dict[str, Any]:
    """Load the model in a process that has not imported this package and cannot find it next to it.

    Returns:
        The forms of its inputs and outputs.

    Raises:
        ExportError: It cannot be loaded.
    """
    environment = {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOAD, str(model)],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [""])[-1].partition(" Full object config")[0]
        raise ExportError(
            f"the model cannot be loaded by Keras alone: {last}",
            "Layers, losses and metrics of the study file's own are not known elsewhere.",
            "Use Keras's own, or mark them with @keras.saving.register_keras_serializable() in a package that is "
            "installed where the model is used.",
        )
    forms: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return forms


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
