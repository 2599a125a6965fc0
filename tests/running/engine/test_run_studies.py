"""The studies of other kinds of rows train on few of them, and a trial that is killed ends with the same numbers."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import autotune

pytestmark = [pytest.mark.trains, pytest.mark.long]

STUDIES = Path(__file__).parents[3] / "studies"
NEED_FILES = ("digit_strings_ctc", "many_labels", "reviews_two_outputs")
# Rows without targets, as the autoencoder's, go on in tests/training/trials/test_any_rows.py too; those of a series, as
# the forecast's, are rows as any others once they are stored.
SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("autoencoder", "forecast", "digit_masks", "finetune_digits", *NEED_FILES)
]

FEW = f"""
import dataclasses, functools, os, signal, sys
from pathlib import Path
import keras
import numpy as np
sys.path.insert(0, {str(STUDIES)!r})
import NAME as asked

HERE = Path(__file__).parent
N_ROWS, asked.EPOCHS = 60 if "digit_strings" in asked.__name__ else 120, 3

class Killing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if KILLS and epoch == 1 and not (HERE / "killed").exists():
            (HERE / "killed").touch()
            until_written(0, 1)
            os.kill(os.getpid(), signal.SIGKILL)

def fit(trial):
    found = asked.fit(trial)
    for stage in found if isinstance(found, list) else [found]:
        stage["callbacks"] = [Killing()]
    return found

@functools.wraps(asked.development)
def development(*folder):
    data = asked.development(*folder)
    return data if "finetune" in asked.__name__ else data.subset(np.linspace(0, len(data) - 1, N_ROWS).astype(int))

if "finetune" in asked.__name__:
    asked.study.folds.n_splits = 1
study = dataclasses.replace(asked.study, dataset=development, fit=fit, epochs=2, n_trials=1)
"""


def _table(study: optuna.Study) -> list[object]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


@pytest.mark.parametrize("name", ["gan", *SLOW])
def test_a_killed_trial_of_each_study_ends_with_the_same_numbers(
    tmp_path: Path, run_dir: Path, until_written: str, name: str, request: pytest.FixtureRequest
) -> None:
    data_dir = request.getfixturevalue("data_dir") if name in NEED_FILES else None
    file = tmp_path / "study.py"
    file.write_text(FEW.replace("NAME", name).replace("KILLS", "False"))
    undisturbed = autotune.run(file, run_dir=tmp_path / "others", data_dir=data_dir, workers=1)
    file.write_text(FEW.replace("NAME", name).replace("KILLS", "True") + until_written)
    study = autotune.run(file, run_dir=run_dir, data_dir=data_dir, workers=1)
    assert (tmp_path / "killed").exists()
    assert _table(study) == _table(undisturbed)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"]
