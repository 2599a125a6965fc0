"""From a search to its final result: the steps that can be stopped, and the look that is taken once."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import create_trial

import autotune
from autotune.data.sources import load_test
from autotune.errors import StudyFailedError, UsageError
from autotune.results.export import exporting
from autotune.results.export.replaying import replay
from autotune.results.final import opening
from autotune.results.final.finalizing import Unfinished, _test_score
from autotune.results.final.record import FinalResult, claim_test_rows, read_result
from autotune.running.tracking.events import Event, Note, TrialEnded

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
StudyFile = Callable[..., Path]

# Each training has a value of its own around the configuration's mean, and notes that it took place.
NOISY = """
    import random

    def objective(trial):
        x = trial.suggest_int("x", 0, 9)
        disturb(trial)
        with open(HERE / "trained", "a") as file:
            print(trial.number, trial.params, file=file)
        return (x - 3) ** 2 + random.gauss(0, 0.1)
"""
CALM = """
    def disturb(trial):
        pass
"""
INTERRUPTING = """
    def disturb(trial):
        if first_time(f"{trial.user_attrs.get('candidate')}-{trial.user_attrs.get('repeat')}-1-{trial.number % 2}"):
            if trial.user_attrs.get("repeat") == 1:
                os.kill(int((HERE / "parent").read_text()), signal.SIGINT)
                signal.pause()
"""
HANGING = """
    def disturb(trial):
        if "candidate" in trial.user_attrs and trial.number > 1:
            signal.pause()
"""
BROKEN = """
    def disturb(trial):
        raise ValueError("a package is missing")
"""
OPTIONS = "'n_trials': 10, 'baseline': {'x': 9}, 'guess': None"
FEW = "'n_trials': 4, 'baseline': {'x': 9}, 'guess': None"


@pytest.fixture
def _interrupt_key(tmp_path: Path) -> Iterator[None]:
    """Let trials interrupt this process, as Ctrl-C does, whatever started the tests."""
    (tmp_path / "parent").write_text(str(os.getpid()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _load(run_dir: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{run_dir}/autotune.db")


def _finalized(run_dir: Path, **options: Any) -> FinalResult:
    given = {"workers": 2, "top": 2, "repeats": 2, "trust": True, **options}  # study files are edited here
    result = autotune.finalize("toy", run_dir=run_dir, **given)
    assert isinstance(result, FinalResult)
    return result


def _notes(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def _but_for_time(result: FinalResult) -> FinalResult:
    made_with = {name: value for name, value in result.provenance.items() if name != "time"}
    return dataclasses.replace(result, provenance=made_with)


def test_the_best_trials_are_trained_again_and_the_best_of_them_wins(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, OPTIONS), run_dir=run_dir, workers=2)
    result = _finalized(run_dir, top=3, repeats=3)
    again = _load(run_dir, "toy.confirm").trials
    assert Counter(t.user_attrs["candidate"] for t in again) == {one.name: 3 for one in result.confirmation.candidates}
    assert {t.user_attrs["repeat"] for t in again} == {0, 1, 2}
    assert len(again) == len({(t.user_attrs["candidate"], t.value) for t in again}) == 12  # with chance of their own
    chance = {t.user_attrs["repeat"]: set[float]() for t in again}
    for trial in again:
        chance[trial.user_attrs["repeat"]].add(round(trial.values[0] - (trial.params["x"] - 3) ** 2, 9))
    assert [len(found) for found in chance.values()] == [1, 1, 1]  # which the candidates share
    winner = result.confirmation.candidate(result.confirmation.winner)
    assert winner.params == {"x": 3}
    assert result.confirmation.beats_baseline
    assert result.test is None  # a plain objective has no test rows
    assert read_result(_load(run_dir, "toy")) == result


def test_what_others_add_to_the_search_meanwhile_is_no_candidate(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    search = _load(run_dir, "toy")

    def add(event: Event) -> None:
        if isinstance(event, TrialEnded) and len(search.trials) == 4:
            (known, *_) = search.trials
            search.add_trial(create_trial(value=-1.0, params={"x": 8}, distributions=known.distributions))

    result = _finalized(run_dir, workers=1, observer=add)
    assert len(search.trials) == 5
    again = _load(run_dir, "toy.confirm").trials
    assert {one.name for one in result.confirmation.candidates} == {t.user_attrs["candidate"] for t in again}
    assert all(one.confirmed for one in result.confirmation.candidates)


@pytest.mark.usefixtures("_interrupt_key")
def test_a_finalization_that_was_interrupted_goes_on_and_ends_with_the_same_numbers(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    file = study_file(CALM + NOISY, FEW)
    autotune.run(file, run_dir=run_dir, workers=1)
    autotune.run(file, run_dir=tmp_path / "others", workers=1)
    undisturbed = _finalized(tmp_path / "others", workers=1)
    (tmp_path / "trained").unlink()
    study_file(INTERRUPTING + NOISY, FEW)
    with pytest.raises(KeyboardInterrupt):
        _finalized(run_dir, workers=1)
    assert not read_result(_load(run_dir, "toy"))
    interruptions = 1
    while True:
        try:
            result = _finalized(run_dir, workers=1)
            break
        except KeyboardInterrupt:
            interruptions += 1
    assert interruptions > 1
    assert _but_for_time(result) == _but_for_time(undisturbed)
    trained = Counter((tmp_path / "trained").read_text().splitlines())
    assert set(trained.values()) == {1}  # one worker: no other trial is stopped on its way to return what it noted
    assert len(trained) == 6


def test_when_the_time_is_over_the_rest_waits(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    study_file(HANGING + NOISY, FEW)
    result = autotune.finalize("toy", run_dir=run_dir, workers=1, top=2, repeats=2, timeout_s=5.0, trust=True)
    assert result == Unfinished("toy.confirm", finished=2, n_trials=6)
    states = [trial.state.name for trial in _load(run_dir, "toy.confirm").trials]
    assert states == ["COMPLETE"] * 2 + ["WAITING"] * 4


def test_what_has_begun_goes_on_with_what_it_was_begun_with(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    study_file(HANGING + NOISY, FEW)
    autotune.finalize("toy", run_dir=run_dir, workers=1, top=1, repeats=2, timeout_s=4.0, trust=True)
    study_file(CALM + NOISY, FEW)
    events: list[Event] = []
    result = _finalized(run_dir, top=2, repeats=3, observer=events.append)
    assert result.confirmation.repeats == 2
    assert len(result.confirmation.candidates) == 2
    assert len(_load(run_dir, "toy.confirm").trials) == 4
    begun, other = "1 trial and 2 seeds (--top, --repeats)", "2 trials and 3 seeds (--top, --repeats)"
    assert _notes(events) == [f"toy.confirm goes on as it was begun: with {begun}, and not with {other}"]


def test_a_result_that_was_recorded_says_that_another_extent_changes_nothing(
    study_file: StudyFile, run_dir: Path
) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    result = _finalized(run_dir, top=2, repeats=2)
    for top, repeats, asked in ((2, 3, "2 trials and 3 seeds"), (1, 2, "1 trial and 2 seeds"), (2, 2, None)):
        events: list[Event] = []
        assert _finalized(run_dir, top=top, repeats=repeats, observer=events.append) == result
        stays = "the result stays as it was begun: with 2 trials and 2 seeds (--top, --repeats), and not with"
        assert _notes(events) == ([f"{stays} {asked} (--top, --repeats)"] if asked else [])


def test_a_study_of_a_single_configuration_is_confirmed_too(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        import random

        def objective(trial):
            return random.random()
    """
    autotune.run(study_file(code, "'n_trials': 2"), run_dir=run_dir, workers=2)
    result = _finalized(run_dir)
    assert [(one.name, one.params) for one in result.confirmation.candidates] == [(result.confirmation.winner, {})]
    assert len({trial.value for trial in _load(run_dir, "toy.confirm").trials}) == 2


def test_a_baseline_that_lacks_a_hyperparameter_is_not_trained_with_any(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, "'n_trials': 2, 'baseline': {'y': 9}"), run_dir=run_dir, workers=2)
    result = _finalized(run_dir)
    assert result.confirmation.candidate("baseline").n_failed == 2
    failed = [t for t in _load(run_dir, "toy.confirm").trials if t.state.name == "FAIL"]
    assert all("'x' is asked for, but 'baseline' does not give it" in t.user_attrs["failure_message"] for t in failed)


def test_what_failed_by_a_mistake_is_trained_again_once_that_is_mended(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    study_file(BROKEN + NOISY, FEW)
    with pytest.raises(StudyFailedError, match=r"no candidate could be trained .*a package is missing"):
        _finalized(run_dir)
    study_file(CALM + NOISY, FEW)
    assert [one.n_failed for one in _finalized(run_dir).confirmation.candidates] == [0, 0, 0]


def test_a_result_that_was_recorded_is_shown_again_and_nothing_is_trained(
    study_file: StudyFile, run_dir: Path, tmp_path: Path
) -> None:
    autotune.run(study_file(CALM + NOISY, FEW), run_dir=run_dir, workers=2)
    result = _finalized(run_dir)
    (tmp_path / "study.py").unlink()  # which nothing could be trained without
    assert _finalized(run_dir, top=5, repeats=9) == result


def test_repetitions_belong_to_their_search_and_are_no_search_of_their_own(
    study_file: StudyFile, run_dir: Path
) -> None:
    file = study_file(CALM + NOISY, FEW)
    autotune.run(file, run_dir=run_dir, workers=2)
    _finalized(run_dir)
    with pytest.raises(UsageError, match=r"'toy\.confirm' trains configurations of 'toy' again"):
        autotune.run(file, run_dir=run_dir, name="toy.confirm")


def test_what_cannot_be_confirmed_is_said(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            trial.report(1.0, 1)
            raise optuna.TrialPruned
    """
    autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, workers=1)
    said: dict[str, dict[str, int]] = {
        "top is 0": {"top": 0},
        "repeats is 1": {"repeats": 1},
        "workers is -1": {"workers": -1},
        "nothing to confirm": {},
    }
    for message, options in said.items():
        with pytest.raises(UsageError, match=message):
            autotune.finalize("toy", run_dir=run_dir, **options)


def test_looking_for_a_study_creates_no_storage(run_dir: Path) -> None:
    with pytest.raises(UsageError, match="there are no studies"):
        autotune.finalize("toy", run_dir=run_dir)
    assert not run_dir.exists()


def test_the_test_rows_are_opened_for_the_models_they_were_claimed_for_and_no_others() -> None:
    study = optuna.create_study()
    opened = claim_test_rows(study, ["abc", "def"])
    assert claim_test_rows(study, ["abc", "def"]) == opened  # killed after the claim: the same look
    with pytest.raises(UsageError, match=r"were opened at .* for other models") as caught:
        claim_test_rows(study, ["abc", "xyz"])
    assert opened in str(caught.value)


DIGITS = """
import keras
import numpy as np
import optuna
from autotune import Dataset, Holdout, KFold, StudySpec

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(trial.suggest_int("units", 4, 64), activation="relu"),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(trial.suggest_float("rate", 1e-4, 1e-2, log=True)),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def noise():
    rng = np.random.default_rng(0)
    return Dataset(rng.normal(size=(200, 4)).astype("float32"), rng.integers(0, 2, 200))

def fit(trial):
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1)
    return {{"callbacks": [plateau, keras.callbacks.EarlyStopping("val_loss", patience=2)]}}

study = StudySpec(name="toy", dataset={dataset}, folds={folds}, build=build, fit=fit, monitor="val_accuracy",
    direction="maximize", epochs={epochs}, n_trials={trials}, seed=0, baseline={{"units": 8, "rate": 1e-3}})
"""


@pytest.mark.parametrize(("metric", "is_a_share"), [("accuracy", True), ("f_score", False)])
def test_the_interval_of_an_accuracy_on_test_rows_ends_at_1(metric: str, is_a_share: bool) -> None:
    found = _test_score(opening.TestScores(100, (1.0, 0.97), None, metric, {}), 2, metric, "maximize", "today")
    assert found.estimate.low < found.estimate.mean
    assert (found.estimate.high == 1.0) == is_a_share


@pytest.mark.trains
def test_on_labels_that_are_noise_no_candidate_beats_the_baseline_beyond_noise(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.py"
    file.write_text(DIGITS.format(dataset="noise", folds="Holdout(0.25)", epochs=2, trials=4))
    search = autotune.run(file, run_dir=run_dir, workers=2)
    result = _finalized(run_dir, top=1, repeats=2)
    assert not result.confirmation.beats_baseline
    best = result.confirmation.candidate(str(search.best_trial.number))
    assert best.optimism is not None
    assert best.optimism > 0  # the search has shown luck
    assert result.test is None  # there are no test rows; a network is trained on all others
    assert len(result.models) == 1
    monkeypatch.setattr(exporting, "_loaded", lambda model: {})  # tests/results/export loads models elsewhere
    exported = exporting.export("toy", tmp_path / "out", run_dir=run_dir)
    assert exported.is_final
    card = json.loads(exported.card.read_text())
    assert (card["metrics"]["test"], card["epochs"]) == (None, result.epochs)


@pytest.mark.long
@pytest.mark.trains
def test_the_winner_is_refitted_on_all_rows_and_tested_once_and_an_interruption_changes_nothing(
    tmp_path: Path, run_dir: Path
) -> None:
    import keras

    file = tmp_path / "study.py"
    file.write_text(DIGITS.format(dataset='"digits"', folds="Holdout(0.2)", epochs=2, trials=2))
    search = autotune.run(file, run_dir=run_dir, workers=2)
    assert all("n_parameters" in trial.user_attrs for trial in search.trials if trial.state.name == "COMPLETE")

    seen: list[TrialEnded] = []

    def interrupt_late(event: Event) -> None:
        if isinstance(event, TrialEnded):
            seen.append(event)
            if len(seen) == 3:  # the best trial and the baseline twice: in the middle
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        _finalized(run_dir, top=1, observer=interrupt_late)
    signal.signal(signal.SIGINT, before)
    interrupted = [t.number for t in _load(run_dir, "toy.confirm").trials if t.state.name == "WAITING"]
    result = _finalized(run_dir, top=1)
    for number in {*interrupted, 3}:  # test_replaying.py replays refits
        assert replay("toy.confirm", number, run_dir=run_dir).is_same
    assert result.test is not None

    refits = _load(run_dir, "toy.final").trials
    assert Counter(t.user_attrs["candidate"] for t in refits) == {result.confirmation.winner: 2, "baseline": 2}
    assert {trial.user_attrs["refit"]["epochs"] for trial in refits} <= {1, 2}
    test = load_test("digits")
    assert result.test.n_rows == len(test) == 355
    for value, path in zip(result.test.values, result.models, strict=True):
        found = keras.models.load_model(path).evaluate(test.x, test.y, verbose=0, return_dict=True)
        assert value == pytest.approx(found["accuracy"])
    assert result.test.versus_baseline is not None
    assert result.test.estimate.mean - result.test.baseline == pytest.approx(result.test.versus_baseline.mean)
    for path in result.models:
        Path(path).unlink()
    events: list[Event] = []
    assert _finalized(run_dir, top=1, observer=events.append) == result  # recorded: nobody looks again
    assert [event.text for event in events if isinstance(event, Note)] == [
        "this is the recorded result: the test rows are not opened again"
    ]
