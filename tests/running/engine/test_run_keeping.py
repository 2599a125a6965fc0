"""A plain objective that keeps its epochs is killed, goes on in the middle, and ends with the same bits."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import DiskFullError, KeepingError

StudyFile = Callable[..., Path]

LOOP = """
    import numpy as np
    import autotune

    def objective(trial):
        rate = trial.suggest_float("rate", 0.01, 0.1)
        weights, first = np.random.normal(size=5), 1
        generator, momentum = np.random.default_rng(trial.number), np.zeros(5)
        if found := autotune.kept(trial):
            weights, momentum, generator = (found.state[name] for name in ("weights", "momentum", "generator"))
            first = found.epoch + 1
        for epoch in range(first, 7):
            disturb(trial, epoch)
            momentum = 0.9 * momentum - rate * (weights + generator.normal(size=5))
            weights = weights + momentum
            with open(HERE / "epochs", "a") as file:
                print(trial.number, epoch, file=file)
            state = {"weights": weights, "momentum": momentum, "generator": generator}
            autotune.keep(trial, epoch, float(weights @ weights), state=state)
        return float(weights @ weights)
"""
UNDISTURBED = """
    def disturb(trial, epoch):
        pass
"""
KILLED = """
    def disturb(trial, epoch):
        if (trial.number, epoch) in ((0, 4), (2, 2), (2, 6)) and first_time(f"{trial.number}-{epoch}"):
            os.kill(os.getpid(), signal.SIGKILL)
"""
HANGING = """
    def disturb(trial, epoch):
        if (trial.number, epoch) == (1, 4) and first_time("hung"):
            with open(HERE / "hanging", "w"):
                signal.pause()
"""
OPTIONS = "'n_trials': 3, 'pruner': optuna.pruners.NopPruner()"


def _table(study: optuna.Study) -> list[object]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values) for t in study.get_trials()]


def _epochs(folder: Path) -> list[str]:
    return (folder / "epochs").read_text().splitlines()


def _kept(run_dir: Path) -> list[Path]:
    return list(run_dir.glob("*/trials/*/checkpoint"))


@pytest.fixture
def undisturbed(study_file: StudyFile, tmp_path: Path) -> list[object]:
    file = study_file(UNDISTURBED + LOOP, OPTIONS)
    table = _table(autotune.run(file, run_dir=tmp_path / "undisturbed", workers=1))
    (tmp_path / "epochs").unlink()
    assert len({str(row) for row in table}) == 3
    return table


def test_killed_trials_go_on_after_their_last_epoch(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, undisturbed: list[object]
) -> None:
    study = autotune.run(study_file(KILLED + LOOP, OPTIONS), run_dir=run_dir, workers=1)
    assert _table(study) == undisturbed
    assert _epochs(tmp_path) == [f"{number} {epoch}" for number in range(3) for epoch in range(1, 7)]
    assert all((tmp_path / moment).exists() for moment in ("0-4", "2-2", "2-6"))
    assert _kept(run_dir) == []  # nothing is left of a finished trial


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_trials_of_a_stopped_parent_go_on(
    study_file: StudyFile,
    run_dir: Path,
    tmp_path: Path,
    undisturbed: list[object],
    script: Callable[..., Any],
    number: signal.Signals,
) -> None:
    os.mkfifo(tmp_path / "hanging")
    file = study_file(HANGING + LOOP, OPTIONS)
    parent = script("import autotune, sys; autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=1)", file, run_dir)
    with (tmp_path / "hanging").open("rb") as hanging:
        parent.send_signal(number)
        assert hanging.read() == b""  # the trial process has ended, too
    parent.wait()
    assert len(_kept(run_dir)) == 1
    assert _table(autotune.run(file, run_dir=run_dir, workers=1)) == undisturbed
    assert _epochs(tmp_path) == [f"{number} {epoch}" for number in range(3) for epoch in range(1, 7)]


def test_a_study_without_a_file_goes_on_when_the_same_script_runs_again(
    tmp_path: Path, run_dir: Path, script: Callable[..., Any]
) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        import autotune
        NAMES = {"a", "b", "c"}  # whose order differs between processes, and so the pickled study

        class Objective:
            def __init__(self, folder):
                self.folder = folder

            def __call__(self, trial):
                found = autotune.kept(trial)
                for epoch in range(found.epoch + 1 if found else 1, 5):
                    with open(self.folder / "epochs", "a") as file:
                        print(trial.number, epoch, file=file)
                    autotune.keep(trial, epoch, 0.5, state={"names": sorted(NAMES)})
                    if (trial.number, epoch) == (0, 3) and not (self.folder / "killed").exists():
                        (self.folder / "killed").touch()
                        os.kill(int((self.folder / "parent").read_text()), signal.SIGKILL)
                        signal.pause()
                return trial.suggest_float("x", 0, 1)

        folder = Path(sys.argv[1])
        (folder / "parent").write_text(str(os.getpid()))
        spec = autotune.StudySpec(name="toy", objective=Objective(folder), direction="minimize", n_trials=1)
        autotune.run(spec, run_dir=sys.argv[2], workers=1)
    """
    assert script(code, tmp_path, run_dir).wait() == -signal.SIGKILL
    assert script(code, tmp_path, run_dir).wait() == 0
    assert _epochs(tmp_path) == ["0 1", "0 2", "0 3", "0 4"]


def test_another_run_dir_goes_on_from_the_artifact_store(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, undisturbed: list[object], script: Callable[..., Any]
) -> None:
    os.mkfifo(tmp_path / "hanging")
    file = study_file(HANGING + LOOP, OPTIONS)
    places = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "artifacts": str(tmp_path / "store")}
    code = "import autotune, sys; autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=1, **eval(sys.argv[3]))"
    parent = script(code, file, run_dir, places)
    with (tmp_path / "hanging").open("rb") as hanging:
        parent.terminate()
        assert hanging.read() == b""
    parent.wait()
    shutil.rmtree(run_dir)
    assert len(list((tmp_path / "store").rglob("*.checkpoint"))) == 1
    study = autotune.run(file, run_dir=tmp_path / "elsewhere", workers=1, **places)
    assert _table(study) == undisturbed
    assert _epochs(tmp_path) == [f"{number} {epoch}" for number in range(3) for epoch in range(1, 7)]
    assert list((tmp_path / "store").rglob("*.checkpoint")) == []


def test_a_damaged_checkpoint_costs_epochs_and_nothing_else(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, undisturbed: list[object]
) -> None:
    damaging = """
    def disturb(trial, epoch):
        if (trial.number, epoch) == (1, 4) and first_time("damage"):
            (kept,) = HERE.glob("runs/*/trials/00001/checkpoint/state")
            kept.write_bytes(kept.read_bytes()[:-1])
            os.kill(os.getpid(), signal.SIGKILL)
    """
    notes: list[str] = []
    study = autotune.run(
        study_file(damaging + LOOP, OPTIONS),
        run_dir=run_dir,
        workers=1,
        observer=lambda event: notes.append(getattr(event, "text", "")),
    )
    assert _table(study) == undisturbed
    assert [epoch for epoch in _epochs(tmp_path) if epoch[0] == "1"] == [f"1 {n}" for n in (1, 2, 3, 1, 2, 3, 4, 5, 6)]
    assert any("is damaged; it starts over" in note for note in notes)


def test_a_pruned_trial_ends_in_keep_and_leaves_nothing(study_file: StudyFile, run_dir: Path, tmp_path: Path) -> None:
    options = "'n_trials': 2, 'pruner': optuna.pruners.ThresholdPruner(upper=-1.0)"
    study = autotune.run(study_file(UNDISTURBED + LOOP, options), run_dir=run_dir, workers=1)
    assert [t.state.name for t in study.get_trials()] == ["PRUNED"] * 2
    assert _epochs(tmp_path) == ["0 1", "1 1"]
    assert _kept(run_dir) == []


def test_a_state_that_cannot_be_kept_ends_the_run_at_once_and_it_goes_on_when_corrected(
    study_file: StudyFile, run_dir: Path, undisturbed: list[object]
) -> None:
    wrong = LOOP.replace('"generator": generator}', '"generator": iter(())}')
    with pytest.raises(KeepingError, match=r"state\['generator'\] is a builtins\.tuple_iterator"):
        autotune.run(study_file(UNDISTURBED + wrong, OPTIONS), run_dir=run_dir, workers=1)
    assert _table(autotune.run(study_file(UNDISTURBED + LOOP, OPTIONS), run_dir=run_dir, workers=1)) == undisturbed


def test_a_full_disk_stops_the_run_and_the_trial_goes_on_with_room(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, undisturbed: list[object]
) -> None:
    full = """
    import errno
    from autotune.training.checkpoints import kept_file
    fsync = os.fsync

    class Full:
        def __getattr__(self, name):
            return getattr(os, name)
        def fsync(self, file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def disturb(trial, epoch):
        if (trial.number, epoch) == (1, 4) and first_time("full"):
            kept_file.os = Full()
    """
    file = study_file(full + LOOP, OPTIONS)
    with pytest.raises(DiskFullError):
        autotune.run(file, run_dir=run_dir, workers=1)
    assert _table(autotune.run(file, run_dir=run_dir, workers=1)) == undisturbed
    assert [epoch for epoch in _epochs(tmp_path) if epoch[0] == "1"] == [f"1 {n}" for n in (1, 2, 3, 4, 4, 5, 6)]
