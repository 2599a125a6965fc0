"""Who runs a trial, and whether they are still alive: seen from the same machine, without disturbing anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.running.ownership import Owner, is_foreign, living_owners
from autotune.running.storage import sqlite_url

# A parent in a process of its own claims the trial with the number 0.
PARENT = """
    import signal, sys
    from pathlib import Path
    from autotune.running.ownership import is_foreign, Owner
    from autotune.running.storage import open_storage
    storage = open_storage(sys.argv[1])
    owner = Owner(Path(sys.argv[2]))
    owner.claim(storage, int(sys.argv[3]))
    print("claimed", flush=True)
    signal.pause()
"""


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="toy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workers"


@pytest.fixture
def other_parent(tmp_path: Path, folder: Path, study: optuna.Study, script: Callable[..., Any]) -> Any:
    process = script(PARENT, sqlite_url(tmp_path / "study.db"), folder, study.ask()._trial_id)
    assert process.stdout.readline() == "claimed\n"
    return process


def _kill(process: Any) -> None:
    process.kill()
    process.wait()


def test_a_parent_lives_until_it_is_killed(folder: Path, study: optuna.Study, other_parent: Any) -> None:
    owner = Owner(folder)
    with owner.alone():
        assert not owner.is_dead(study.get_trials()[0])
        _kill(other_parent)
        assert owner.is_dead(study.get_trials()[0])
    owner.close()


def test_a_parent_lives_until_it_is_closed(
    folder: Path, study: optuna.Study, storage: optuna.storages.BaseStorage
) -> None:
    one, two = Owner(folder), Owner(folder)
    one.claim(storage, study.ask()._trial_id)
    trial = study.get_trials()[0]
    assert [one.is_dead(trial), two.is_dead(trial)] == [False, False]
    one.close()
    assert two.is_dead(trial)
    two.close()


def test_a_parent_elsewhere_counts_as_alive(folder: Path, study: optuna.Study, storage: Any) -> None:
    here = Owner(folder)
    here.claim(storage, study.ask()._trial_id)
    owner = study.get_trials()[0].system_attrs["autotune:owner"]
    storage.set_trial_system_attr(study.ask()._trial_id, "autotune:owner", {**owner, "host": "elsewhere"})
    here.close()
    onlooker = Owner(folder)
    assert [onlooker.is_dead(trial) for trial in study.get_trials()] == [True, False]
    onlooker.close()


def test_a_dead_parent_is_known_although_the_machine_has_another_name_now(
    folder: Path, study: optuna.Study, storage: Any, other_parent: Any
) -> None:
    (trial,) = study.get_trials()
    owner = trial.system_attrs["autotune:owner"]
    storage.set_trial_system_attr(trial._trial_id, "autotune:owner", {**owner, "host": "renamed"})
    with closing(Owner(folder)) as onlooker:
        assert not onlooker.is_dead(study.get_trials()[0])
        _kill(other_parent)
        assert onlooker.is_dead(study.get_trials()[0])


def test_a_running_trial_that_nobody_claimed_is_somebody_elses(folder: Path, study: optuna.Study) -> None:
    study.ask()
    with closing(Owner(folder)) as owner:
        (trial,) = study.get_trials()
        assert is_foreign(trial)
        assert not owner.is_dead(trial)


def test_a_closed_parent_leaves_no_sign_of_life(folder: Path) -> None:
    owner = Owner(folder)
    assert len(list(folder.glob("*-*.lock"))) == 1
    owner.close()
    assert list(folder.glob("*-*.lock")) == []


def test_living_owners_are_those_of_running_trials_who_live(
    folder: Path, study: optuna.Study, storage: optuna.storages.BaseStorage, other_parent: Any
) -> None:
    owner = Owner(folder)
    for _ in range(2):
        owner.claim(storage, study.ask()._trial_id)
    study.ask()
    assert len(living_owners(study.get_trials())) == 2
    study.tell(1, 1.0)
    assert len(living_owners(study.get_trials())) == 2  # it still runs number 2
    study.tell(2, 1.0)
    assert len(living_owners(study.get_trials())) == 1
    _kill(other_parent)
    assert living_owners(study.get_trials()) == set()
    owner.close()


def test_looking_for_living_owners_does_not_disturb_them(folder: Path, study: optuna.Study, other_parent: Any) -> None:
    for _ in range(3):
        assert len(living_owners(study.get_trials())) == 1
    owner = Owner(folder)
    assert not owner.is_dead(study.get_trials()[0])
    owner.close()


@pytest.mark.parametrize("parents", [1, 2], ids=["slots of one parent", "two parents"])
def test_only_one_at_a_time_is_alone(folder: Path, parents: int) -> None:
    owners = [Owner(folder) for _ in range(parents)]
    inside: list[int] = []
    most = []

    def enter(slot: int) -> None:
        for _ in range(20):
            with owners[slot % parents].alone():
                inside.append(slot)
                most.append(len(inside))
                inside.remove(slot)

    threads = [threading.Thread(target=enter, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    for owner in owners:
        owner.close()
