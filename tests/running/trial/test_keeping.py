"""What `kept` and `keep` do in a trial process, with a parent that may be gone at any moment; and without a parent."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import autotune
from autotune.errors import KeepingError
from autotune.running.trial import keeping
from autotune.running.trial.answering import Replay
from autotune.running.trial.piped_trial import PipedTrial
from autotune.training.checkpoints import ClaimedPaths, artifacts
from autotune.training.checkpoints.folder import TrialFolder, trial_folder

Bench = Any  # see conftest.py


def test_the_next_process_finds_the_last_epoch_and_repeats_all_reports(bench: Bench) -> None:
    bench.keep_epochs(1, 2, 4)
    assert bench.parent.reports == {1: 1.0, 2: 0.5, 4: 0.25}
    found = autotune.kept(bench.process())
    assert found is not None
    assert (found.epoch, found.state, found.folder) == (4, {"epochs": [1, 2, 4]}, None)
    assert bench.parent.reports == {1: 1.0, 2: 0.5, 4: 0.25}


def test_nothing_is_kept_of_a_trial_that_begins(bench: Bench) -> None:
    assert autotune.kept(bench.process()) is None
    assert bench.parent.notes == []


def test_an_epoch_is_kept_before_it_is_reported(bench: Bench) -> None:
    trial = bench.process(gone_before=2)
    autotune.kept(trial)
    autotune.keep(trial, 1, 0.5)
    with pytest.raises(ConnectionError):
        autotune.keep(trial, 2, float("nan"))
    found = autotune.kept(bench.process())
    assert found is not None
    assert found.epoch == 2
    assert bench.parent.reports[1] == 0.5
    assert np.isnan(bench.parent.reports[2])


def test_a_trial_that_was_to_be_pruned_when_it_was_killed_is_pruned(bench: Bench) -> None:
    trial = bench.process(gone_before=2)
    autotune.kept(trial)
    autotune.keep(trial, 1, 0.5)
    with pytest.raises(ConnectionError):
        autotune.keep(trial, 2, 0.5)
    with pytest.raises(optuna.TrialPruned):
        autotune.kept(bench.process(prune_after=2))


def test_the_pruner_ends_a_trial_in_keep(bench: Bench) -> None:
    trial = bench.process(prune_after=2)
    autotune.kept(trial)
    autotune.keep(trial, 1, 0.5)
    with pytest.raises(optuna.TrialPruned, match="epoch 2"):
        autotune.keep(trial, 2, 0.5)


def test_attributes_that_a_parent_may_not_have_stored_are_told_again(bench: Bench) -> None:
    trial = bench.process()
    autotune.kept(trial)
    trial.set_user_attr("note", [1, 2])
    autotune.keep(trial, 1, 0.5)
    again = bench.process()
    autotune.kept(again)
    assert ("set_user_attr", ("note", [1, 2])) in [(name, tuple(args)) for name, args in again.told]


def test_files_and_folders_come_back(bench: Bench, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "weights").write_text(name)
    (tmp_path / "note.txt").write_text("a file")
    (tmp_path / "one" / "empty").mkdir()
    bench.keep_epochs(1, files=[tmp_path / "one", str(tmp_path / "two"), tmp_path / "note.txt"])
    (tmp_path / "note.txt").write_text("changed later")
    found = autotune.kept(bench.process())
    assert found is not None
    assert found.folder is not None
    there = sorted(str(path.relative_to(found.folder)) for path in found.folder.rglob("*"))
    assert there == [
        "note.txt",
        "one",
        "one/deep",
        "one/deep/weights",
        "one/empty",
        "two",
        "two/deep",
        "two/deep/weights",
    ]
    assert (found.folder / "two" / "deep" / "weights").read_text() == "two"
    assert (found.folder / "note.txt").read_text() == "a file"
    bench.folder.remove_checkpoint()
    assert not found.folder.exists()


def test_a_file_in_the_folder_of_kept_files_may_be_kept_again(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("1")
    bench.keep_epochs(1, files=tmp_path / "log")
    trial = bench.process()
    found = autotune.kept(trial)
    assert found is not None
    assert found.folder is not None
    (found.folder / "log").write_text("12")
    autotune.keep(trial, 2, 0.5, files=found.folder / "log")
    again = autotune.kept(bench.process())
    assert again is not None
    assert again.folder is not None
    assert (again.folder / "log").read_text() == "12"


@pytest.mark.parametrize(
    "changed",
    [
        {"facts": ("toy", "other code", 0, "trial", 3)},
        {"facts": ("toy", "digest of the code", 1, "trial", 3)},
        {"number": 4},
        {"params": {"x": 0.5}},
        {"params": {}},
    ],
)
def test_what_another_trial_kept_is_not_used_and_it_says_so(bench: Bench, changed: dict[str, Any]) -> None:
    bench.keep_epochs(1, 2)
    trial = bench.process(**changed)
    assert autotune.kept(trial) is None
    (note,) = bench.parent.notes
    assert "is of another trial or another version of it; it starts over" in note
    assert bench.parent.reports == {}
    autotune.keep(trial, 1, 0.75)
    found = autotune.kept(bench.process(**changed))
    assert found is not None
    assert found.epoch == 1


def test_parameters_that_are_suggested_later_change_nothing(bench: Bench) -> None:
    bench.keep_epochs(1)
    assert autotune.kept(bench.process(params={"x": 0.25, "later": 1})) is not None


def test_a_damaged_file_starts_the_trial_over_with_a_note(bench: Bench) -> None:
    bench.keep_epochs(1, 2)
    path = bench.folder.checkpoint
    path.write_bytes(path.read_bytes()[:-1])
    trial = bench.process()
    assert autotune.kept(trial) is None
    (note,) = bench.parent.notes
    assert "is damaged; it starts over" in note
    autotune.keep(trial, 1, 1.0)
    assert autotune.kept(bench.process()) is not None


def test_what_a_killed_process_was_writing_is_removed(bench: Bench) -> None:
    bench.keep_epochs(1)
    left = bench.folder.checkpoint.with_name("state.123.tmp")
    left.write_bytes(b"half")
    assert autotune.kept(bench.process()) is not None
    assert not left.exists()


def test_a_lost_file_is_told(bench: Bench) -> None:
    assert autotune.kept(bench.process(has_reported=True)) is None
    assert "there is no checkpoint of it here; it starts over" in bench.parent.notes[0]


def test_another_machine_goes_on_from_the_copy(tmp_path: Path, new_bench: Callable[..., Bench]) -> None:
    here = trial_folder(tmp_path / "here", 3, str(tmp_path / "store"))
    there = trial_folder(tmp_path / "there", 3, str(tmp_path / "store"))
    (tmp_path / "weights").write_text("7")
    new_bench(here).keep_epochs(1, 2, state={"a": np.arange(2)}, files=tmp_path / "weights")
    bench = new_bench(there)
    trial = bench.process()
    found = autotune.kept(trial)
    assert found is not None
    assert found.folder is not None
    assert (found.epoch, (found.folder / "weights").read_text()) == (2, "7")
    assert str(found.folder).startswith(str(tmp_path / "there"))
    autotune.keep(trial, 3, 0.5, state={})
    back = autotune.kept(new_bench(here).process())  # its own file is one epoch behind the copy
    assert back is not None
    assert back.epoch == 3
    assert there.remove_checkpoint()
    assert not list((tmp_path / "store").rglob("*.checkpoint"))


def test_a_store_that_is_out_of_reach_holds_no_trial_up(
    tmp_path: Path, new_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = new_bench(trial_folder(tmp_path / "here", 3, str(tmp_path / "store")))

    def fail(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(artifacts.FolderStore, "write", fail)
    bench.keep_epochs(1, 2)
    (note,) = bench.parent.notes  # once, not after each epoch
    assert "could not be copied" in note
    assert bench.parent.reports.keys() == {1, 2}


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        ([0], "the epoch of keep is 0"),
        ([-1], "the epoch of keep is -1"),
        ([True], "the epoch of keep is True"),
        ([1.0], "the epoch of keep is 1.0"),
        (["1"], "the epoch of keep is '1'"),
        ([None], "the epoch of keep is None"),
        ([1, 1], "the epoch of keep is 1, and epoch 1 was reported before"),
        ([3, 2], "the epoch of keep is 2, and epoch 3 was reported before"),
    ],
)
@pytest.mark.parametrize("new", [lambda bench: bench.process(), lambda bench: optuna.create_study().ask()])
def test_an_epoch_is_a_number_that_grows(
    bench: Bench, new: Callable[[Bench], Any], epochs: list[Any], words: str
) -> None:
    trial = new(bench)
    autotune.kept(trial)
    *before, last = epochs
    for epoch in before:
        autotune.keep(trial, epoch, 0.5)
    with pytest.raises(KeepingError, match=words) as error:
        autotune.keep(trial, last, 0.5)
    assert "autotune.kept(trial)" in error.value.fix


def test_an_epoch_before_the_kept_one_is_refused(bench: Bench) -> None:
    bench.keep_epochs(1, 2)
    trial = bench.process()
    autotune.kept(trial)
    with pytest.raises(KeepingError, match="epoch 2 was reported before"):
        autotune.keep(trial, 1, 0.5)
    autotune.keep(trial, np.int64(3), 0.5)


def test_an_objective_that_never_asks_for_what_was_kept_is_told(bench: Bench) -> None:
    with pytest.raises(KeepingError, match=r"has not called autotune\.kept"):
        autotune.keep(bench.process(), 1, 0.5)


@pytest.mark.parametrize(
    ("state", "where", "what"),
    [
        ({"model": {"layers": [1, print]}}, "state['model']['layers'][1]", "builtin_function_or_method"),
        ({"a": np.array([print])}, "state['a']", "numpy.ndarray"),
        ({"lock": object()}, "state['lock']", "builtins.object"),
        ([1], "the state that keep got is a list", ""),
    ],
)
def test_a_state_that_cannot_be_kept_is_named_at_the_first_keep(
    bench: Bench, state: Any, where: str, what: str
) -> None:
    trial = bench.process()
    autotune.kept(trial)
    with pytest.raises(KeepingError) as error:
        autotune.keep(trial, 1, 0.5, state=state)
    assert where in error.value.happened
    assert what in error.value.happened
    assert bench.parent.reports == {}
    assert not bench.folder.checkpoint.exists()


def test_files_that_are_missing_or_have_one_name_are_named(bench: Bench, tmp_path: Path) -> None:
    trial = bench.process()
    autotune.kept(trial)
    with pytest.raises(KeepingError, match=r"missing.*there is nothing"):
        autotune.keep(trial, 1, 0.5, files=tmp_path / "missing")
    with pytest.raises(KeepingError, match=r"null.*there is no file"):
        autotune.keep(trial, 1, 0.5, files="/dev/null")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weights").touch()
    with pytest.raises(KeepingError, match="two of the files"):
        autotune.keep(trial, 1, 0.5, files=[tmp_path / "a" / "weights", tmp_path / "b" / "weights"])


def claim(lock: Path, path: Path, pipe: Connection) -> None:
    pipe.send(ClaimedPaths(lock).has(path))
    pipe.recv()


def test_files_that_another_trial_keeps_are_refused_while_it_runs(
    new_bench: Callable[[TrialFolder], Bench], tmp_path: Path
) -> None:
    bench = new_bench(trial_folder(tmp_path / "toy", 3))
    here, there = multiprocessing.Pipe()
    lock = tmp_path / "toy" / "files.lock"
    model = tmp_path / "models" / "model.pt"
    model.parent.mkdir()
    model.write_text("of the other trial")
    other = multiprocessing.get_context("spawn").Process(target=claim, args=(lock, model, there))
    other.start()
    assert here.recv()
    with pytest.raises(KeepingError, match=r"trial 3 keeps .*model\.pt, which another trial keeps"):
        bench.keep_epochs(1, files=model)
    with pytest.raises(KeepingError, match="which another trial keeps"):
        bench.keep_epochs(1, files=model.parent)
    assert not bench.folder.checkpoint.exists()
    other.kill()
    other.join()
    bench.keep_epochs(1, files=model)
    assert bench.folder.checkpoint.exists()


@pytest.mark.parametrize("value", [np.float32(0.5), np.array([0.5]), "0.5"])
def test_a_value_may_be_what_a_report_may_be(bench: Bench, value: Any) -> None:
    bench.keep_epochs(1)
    trial = bench.process()
    autotune.kept(trial)
    autotune.keep(trial, 2, value)
    autotune.kept(bench.process())
    assert bench.parent.reports[2] == 0.5


def test_a_value_that_is_no_number_raises_what_optuna_raises(bench: Bench) -> None:
    trial = bench.process()
    autotune.kept(trial)
    with pytest.raises(TypeError, match="cannot be converted to a float"):
        autotune.keep(trial, 1, "much")  # type: ignore[arg-type]  # reason: that is the mistake
    assert not bench.folder.checkpoint.exists()


def test_a_script_with_optuna_alone_reports_and_prunes() -> None:
    def objective(trial: optuna.Trial) -> float:
        assert autotune.kept(trial) is None
        for epoch in range(1, 4):
            autotune.keep(trial, epoch, trial.number, state={"not checked": print}, files="nowhere")
        return float(trial.number)

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.5))
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert [trial.intermediate_values for trial in study.trials] == [{1: 0, 2: 0, 3: 0}, {1: 1}]
    assert objective(study.best_trial) == 0  # type: ignore[arg-type]  # reason: a FrozenTrial
    assert objective(optuna.trial.FixedTrial({}, number=2)) == 2  # type: ignore[arg-type]  # reason: objectives take it as a trial


def test_a_replay_without_a_place_keeps_nothing() -> None:
    parent = Replay({}, 0)
    trial = PipedTrial(parent)
    assert autotune.kept(trial) is None
    autotune.keep(trial, 1, 0.5)
    assert parent.reports == {1: 0.5}


def test_a_trial_that_is_gone_is_forgotten() -> None:
    trial = optuna.create_study().ask()
    autotune.kept(trial)
    gc.collect()
    known = len(keeping._KEEPERS)
    del trial
    gc.collect()
    assert len(keeping._KEEPERS) == known - 1
