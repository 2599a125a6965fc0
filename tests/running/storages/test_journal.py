"""A journal file outlives processes that die while they write, and never gives one trial to two."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from autotune.errors import StorageError
from autotune.running.storages.journal import open_journal
from autotune.running.storages.opening import open_existing_storage, open_storage, shown_url


def test_the_lock_of_a_process_that_was_killed_is_taken_from_it(tmp_path: Path, script: Callable[..., Any]) -> None:
    code = """
        import os
        import signal
        import sys
        from optuna.storages.journal import JournalFileOpenLock
        JournalFileOpenLock(sys.argv[1]).acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "study.log"
    assert script(code, path).wait() == -signal.SIGKILL
    assert (tmp_path / "study.log.lock").exists()
    storage = open_journal(path, grace_s=3)
    storage.create_new_study([StudyDirection.MINIMIZE], "toy")
    assert not (tmp_path / "study.log.lock").exists()


@pytest.mark.parametrize("torn", ['{"op_code":4,"wor', "x" * 10_000])
def test_what_a_process_has_begun_to_write_that_died_is_removed(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "study.log"
    url = f"journal:///{path}"
    before = open_storage(url)
    before.create_new_study([StudyDirection.MINIMIZE], "toy")
    with path.open("a") as file:
        file.write(torn)
    assert [study.study_name for study in before.get_all_studies()] == ["toy"]
    before.create_new_study([StudyDirection.MINIMIZE], "other")
    for storage in (before, open_storage(url)):
        assert [study.study_name for study in storage.get_all_studies()] == ["toy", "other"]
    assert torn not in path.read_text()


def test_a_trial_that_was_put_back_and_claimed_by_another_process_is_theirs(tmp_path: Path) -> None:
    ours, theirs = (open_journal(tmp_path / "study.log") for _ in range(2))
    study_id = ours.create_new_study([StudyDirection.MINIMIZE], "toy")
    trial_id = ours.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    assert ours.set_trial_state_values(trial_id, TrialState.RUNNING)
    ours.set_trial_state_values(trial_id, TrialState.WAITING)
    append = ours._backend.append_logs

    def append_too_late(logs: list[dict[str, Any]]) -> None:
        assert theirs.set_trial_state_values(trial_id, TrialState.RUNNING)
        append(logs)

    ours._backend.append_logs = append_too_late  # type: ignore[method-assign]  # reason: the moment to be tested
    assert not ours.set_trial_state_values(trial_id, TrialState.RUNNING)


def test_a_path_with_the_usual_ending_is_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("a.log", "b.journal", "journal:///c.txt", f"journal:///{tmp_path}/d.log", str(tmp_path / "e @.log")):
        assert shown_url(url) == url
        assert open_existing_storage(url) is None
        optuna.create_study(storage=open_storage(url), study_name="toy")
        found = open_existing_storage(url)
        assert found is not None
        assert optuna.get_all_study_names(found) == ["toy"]
    assert {path.name for path in tmp_path.iterdir()} == {"a.log", "b.journal", "c.txt", "d.log", "e @.log"}


@pytest.mark.parametrize("url", ["journal://", "journal://study.log", "journal://runs/study.log", "journal:study.log"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match=r"three slashes|not a URL"):
        open_storage(url)


def test_a_missing_folder_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"there is no folder {tmp_path / 'missing'}"):
        open_storage(str(tmp_path / "missing" / "study.log"))
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("text", ["not a journal\nat all\n", '{"a": 1}\n', "[]\n", "7\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    notes = tmp_path / "notes.log"
    notes.write_text(text)
    with pytest.raises(StorageError, match="not a journal"):
        open_storage(str(notes))
    assert notes.read_text() == text
