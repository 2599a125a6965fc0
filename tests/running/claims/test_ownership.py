"""Who runs a trial, and whether they are still alive: seen from the same machine, without disturbing anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock
import optuna
import pytest

from autotune.running.claims import ownership
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_foreign, lock_is_held, make_ours, mark_of
from autotune.running.claims.parents_at_work import parents_at_work, slots_at_work
from autotune.running.storages.opening import sqlite_url

# A parent in a process of its own claims the trial with the number 0.
PARENT = """
    import signal, sys
    from pathlib import Path
    from autotune.running.claims.ownership import Owner
    from autotune.running.storages.opening import open_storage
    storage = open_storage(sys.argv[1])
    owner = Owner(Path(sys.argv[2]))
    owner.sign(storage, int(sys.argv[3]))
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


def test_threads_that_look_at_once_all_see_that_a_parent_is_dead(folder: Path) -> None:
    owner, n_threads = Owner(folder), 4
    barrier = threading.Barrier(n_threads)

    def looked(trial: optuna.trial.FrozenTrial) -> bool:
        barrier.wait()
        return owner.is_dead(trial)

    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(100):
            dead = Owner(folder)
            trial = dead.new_trial()
            dead._life.release()  # as the kernel does it: the file is still there
            assert list(pool.map(looked, [trial] * n_threads)) == [True] * n_threads
    assert [path.name for path in folder.glob("*-*.lock")] == [owner.mark.lock]


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
    one.sign(storage, study.ask()._trial_id)
    trial = study.get_trials()[0]
    assert [one.is_dead(trial), two.is_dead(trial)] == [False, False]
    one.close()
    assert two.is_dead(trial)
    two.close()


@pytest.mark.parametrize("elsewhere", ["another machine/1/2", ""])
def test_of_a_parent_whose_lock_cannot_be_seen_nobody_knows(
    folder: Path, study: optuna.Study, storage: Any, elsewhere: str
) -> None:
    here = Owner(folder)
    here.sign(storage, study.ask()._trial_id)
    mark = study.get_trials()[0].system_attrs["autotune:owner"]
    storage.set_trial_system_attr(study.ask()._trial_id, "autotune:owner", {**mark, "place": elsewhere})
    here.close()
    with closing(Owner(folder)) as onlooker:
        assert [onlooker.is_dead(trial) for trial in study.get_trials()] == [True, False]


def test_a_dead_parent_is_known_after_its_run_dir_was_moved(
    folder: Path, study: optuna.Study, other_parent: Any
) -> None:
    moved = folder.rename(folder.with_name("moved"))
    with closing(Owner(moved)) as onlooker:
        assert not onlooker.is_dead(study.get_trials()[0])
        _kill(other_parent)
        assert onlooker.is_dead(study.get_trials()[0])


def test_a_signature_can_be_taken_back(folder: Path, study: optuna.Study, storage: Any) -> None:
    with closing(Owner(folder)) as owner:
        trial_id = study.ask()._trial_id
        owner.sign(storage, trial_id)
        assert owner.is_mine(storage.get_trial(trial_id))
        owner.unsign(storage, trial_id)
        assert mark_of(storage.get_trial(trial_id)) is None
        assert not owner.is_mine(storage.get_trial(trial_id))


def test_a_running_trial_that_nobody_claimed_is_somebody_elses(folder: Path, study: optuna.Study, storage: Any) -> None:
    study.ask()
    make_ours(storage, study.ask()._trial_id)
    with closing(Owner(folder)) as owner:
        trials = study.get_trials()
        assert [is_foreign(trial) for trial in trials] == [True, False]
        assert [owner.is_dead(trial) for trial in trials] == [False, False]


def test_a_closed_parent_leaves_no_sign_of_life(folder: Path) -> None:
    owner = Owner(folder)
    assert len(list(folder.glob("*-*.lock"))) == 1
    owner.close()
    assert list(folder.glob("*-*.lock")) == []


def test_whether_a_lock_is_held_is_seen_again_and_again_without_disturbing_its_holder(
    folder: Path, study: optuna.Study, other_parent: Any
) -> None:
    mark = mark_of(study.get_trials()[0])
    assert mark is not None
    assert [lock_is_held(mark, folder) for _ in range(3)] == [True, True, True]
    assert lock_is_held(mark, folder.parent) is None
    _kill(other_parent)
    assert lock_is_held(mark, folder) is False


FORGED = [
    "/{victim}",
    "../{name}",
    "claims.lock",
    "sub/host-1-0123abcd.lock",
    "",
    ".",
    "host-1-0123abcd.lock\n",
    7,
    None,
]


@pytest.mark.parametrize("lock", FORGED)
def test_the_name_of_a_lock_that_is_not_of_the_known_form_is_no_mark(
    tmp_path: Path, study: optuna.Study, storage: Any, lock: Any
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    named = lock.format(victim=str(victim)[1:], name=victim.name) if isinstance(lock, str) else lock
    with closing(Owner(tmp_path / "toy" / "workers")) as owner:
        mark = {"parent": "other", "place": owner.mark.place, "lock": named}
        for parent in ("other", str(named).removesuffix(".lock")):
            storage.set_trial_system_attr(study.ask()._trial_id, "autotune:owner", {**mark, "parent": parent})
        before = sorted(tmp_path.rglob("*"))
        trials = study.get_trials()
        assert [mark_of(trial) for trial in trials] == [None, None]
        assert [owner.is_dead(trial) for trial in trials] == [False, False]
        assert parents_at_work(study, trials, tmp_path / "toy") == set()
    assert victim.read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == [path for path in before if path.name != owner.mark.lock]


def test_a_parent_that_was_killed_between_two_trials_runs_nothing(
    folder: Path, study: optuna.Study, script: Callable[..., Any]
) -> None:
    with closing(Owner(folder)) as owner:
        Lease(study._storage, study._study_id, owner.mark.parent, 60, slots=2).renew()
        assert slots_at_work(study, [], folder.parent) == 2
        ended = script("")
        ended.wait()
        host, _, chance = owner.mark.parent.rsplit("-", 2)
        Lease(study._storage, study._study_id, f"{host}-{ended.pid}-{chance}", 60, slots=4).renew()
        assert slots_at_work(study, [], folder.parent) == 2


@pytest.mark.parametrize(
    "stored",
    [7, "host", [], {"parent": "host-1-0123abcd"}, {"parent": {}, "place": "", "lock": ""}],
    ids=["a number", "a text", "a list", "a part of one", "of other types"],
)
def test_a_mark_that_is_none_is_that_of_nobody(study: optuna.Study, storage: Any, stored: Any) -> None:
    storage.set_trial_system_attr(study.ask()._trial_id, "autotune:owner", stored)
    assert mark_of(study.get_trials()[0]) is None


def test_whoever_looks_leaves_the_lock_of_a_dead_parent_as_it_is(
    folder: Path, study: optuna.Study, other_parent: Any
) -> None:
    mark = mark_of(study.get_trials()[0])
    assert mark is not None
    _kill(other_parent)
    (folder / mark.lock).write_text("not empty")
    (folder / mark.lock).chmod(0o444)
    assert lock_is_held(mark, folder) is False
    assert (folder / mark.lock).read_text() == "not empty"


def test_whoever_looks_follows_no_link_in_place_of_a_lock(tmp_path: Path, folder: Path) -> None:
    with closing(Owner(folder)) as owner:
        mark = owner.mark
    (folder / mark.lock).symlink_to(tmp_path / "elsewhere")
    assert lock_is_held(mark, folder) is None
    assert not (tmp_path / "elsewhere").exists()


def test_a_parent_that_is_stopped_while_alone_does_not_stop_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "_PATIENCE_S", 0.01)
    stopped, other = Owner(folder), Owner(folder)
    with stopped.alone():
        for _ in range(2):
            with other.alone():
                pass
    with other.alone(), pytest.raises(filelock.Timeout):  # they are alone again once it goes on
        filelock.FileLock(folder / "claims.lock").acquire(blocking=False)
    stopped.close()
    other.close()


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
