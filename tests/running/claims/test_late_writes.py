"""No epoch waits for a storage that is locked, and nothing of what is reported meanwhile is lost or out of order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError

import autotune
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.late_writes import LateWrites
from autotune.search.history import StorageView


def _all_ours(trial_id: int) -> bool:
    return True


def test_trials_report_and_are_judged_while_the_database_is_locked(
    study_file: Callable[..., Path], run_dir: Path, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    file = study_file(
        """
        import time

        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            (HERE / "begun").touch()
            while not (HERE / "locked").exists():
                time.sleep(0.02)  # reason: a file tells nobody that it is there now
            for step in range(1, 6):
                trial.report(x + step, step)
                if trial.should_prune():
                    raise optuna.TrialPruned
            (HERE / "reported").touch()
            return x
        """,
        "'n_trials': 1, 'pruner': optuna.pruners.SuccessiveHalvingPruner(min_resource=1)",
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(autotune.run, file, run_dir=run_dir, workers=1)
        until((tmp_path / "begun").exists)
        other = sqlite3.connect(run_dir / "autotune.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        (tmp_path / "locked").touch()
        until((tmp_path / "reported").exists)
        assert not other.execute("SELECT * FROM trial_intermediate_values").fetchall()
        other.execute("ROLLBACK")
        other.close()
        (trial,) = running.result().get_trials()
    assert trial.intermediate_values == {step: trial.params["x"] + step for step in range(1, 6)}
    assert trial.state == optuna.trial.TrialState.COMPLETE
    assert "completed_rung_0" in trial.system_attrs, "what pruners write down comes behind, too"


def test_writes_come_in_the_order_they_were_asked_for_and_a_trial_settles_with_its_last_one() -> None:
    late, opened = LateWrites(_all_ours), threading.Event()
    written: list[int] = []
    late.write(0, opened.wait)
    for number in range(10):
        late.write(number % 2, lambda number=number: written.append(number))
    with ThreadPoolExecutor(1) as pool:
        settled = pool.submit(late.settle, 1)
        assert not written
        opened.set()
        settled.result()
    late.settle(0)
    assert written == list(range(10))


def test_an_attribute_that_was_a_number_is_what_it_was_set_to_last(storage: optuna.storages.BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    late, opened = LateWrites(_all_ours), threading.Event()
    view = StorageView(study, KnownTrials(storage, study._study_id), writer=late)
    trial_id = study.ask()._trial_id
    late.write(trial_id, opened.wait)
    view.set_trial_user_attr(trial_id, "seen", 1)
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(view.set_trial_user_attr, trial_id, "seen", "all")
        wait([last], timeout=0.1)  # reason: it is to do nothing
        opened.set()
        last.result()
    late.settle(trial_id)
    assert storage.get_trial(trial_id).user_attrs["seen"] == "all"


def test_there_is_a_bound_to_what_waits() -> None:
    late, opened = LateWrites(_all_ours, most=2), threading.Event()
    late.write(0, opened.wait)
    late.write(0, opened.wait)
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(late.write, 0, opened.wait)
        assert not third.done()
        opened.set()
        third.result()
    late.settle(0)
    assert not late._waiting


def test_nothing_more_is_written_to_a_trial_that_is_somebody_elses_and_its_slot_hears_of_it() -> None:
    ours = {0, 1}
    late, opened = LateWrites(ours.__contains__), threading.Event()
    written: list[str] = []
    late.write(0, opened.wait)
    late.write(0, lambda: written.append("late"))
    late.write(1, lambda: written.append("other"))
    ours.discard(0)
    opened.set()
    late.settle(1)
    with pytest.raises(UpdateFinishedTrialError):
        late.write(0, lambda: written.append("later"))
    assert written == ["other"]
    ours.add(0)
    late.forget(0)  # it is claimed again
    late.write(0, lambda: written.append("again"))
    late.settle(0)
    assert written == ["other", "again"]


def test_what_goes_wrong_with_a_write_is_raised_where_trials_are_answered() -> None:
    late = LateWrites(_all_ours)

    def fail() -> None:
        raise OSError("no space left")

    late.write(0, fail)
    with pytest.raises(OSError, match="no space"):
        late.settle(0)
    with pytest.raises(OSError, match="no space"):
        late.write(1, fail)
