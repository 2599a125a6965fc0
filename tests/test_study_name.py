"""What a study may be called: one check, on every way in."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

import autotune
from autotune.cli import main
from autotune.errors import StorageError, StudyFileError, UsageError
from autotune.results.summary.summary import require_study
from autotune.study_name import check_name, is_study_name, study_folder

GOOD = ["mnist-cnn", "a", "toy 2", "toy-1.0", "réseau", "モデル", "autotune", "database", "toy.confirm", "x" * 100]
GOOD += ["x" * 100 + ".learning-curve", "é" * 100]
BAD = [
    "",
    " ",
    ".",
    "..",
    "../..",
    "a/b",
    "a\\b",
    "/etc",
    ".hidden",
    " a",
    "a ",
    "-x",
    "a\0b",
    "a\nb",
    "a\x1b[2J",
    "\ud800",
]
BAD += ["a\u202eb", "datasets", "Datasets", "autotune.db", "AUTOTUNE.DB", "autotune.db-wal", "autotune.db-shm"]
BAD += ["autotune.db.lock", "x" * 101, "x" * 300, "モ" * 67, "x" * 101 + ".confirm", ".confirm"]


@pytest.mark.parametrize("name", GOOD)
def test_a_name_that_can_be_a_folder_is_taken(tmp_path: Path, name: str) -> None:
    check_name(name)
    folder = study_folder(tmp_path, name)
    folder.mkdir()
    assert study_folder(tmp_path, name) == folder


@pytest.mark.parametrize("name", [*BAD, None, 7])
def test_a_name_that_cannot_is_refused_in_plain_lines(name: str) -> None:
    assert not is_study_name(name)
    with pytest.raises(UsageError, match="cannot name a study") as caught:
        check_name(name)
    assert str(caught.value).replace("\n", "").isprintable()
    assert max(map(len, str(caught.value).splitlines())) < 200


@pytest.mark.parametrize("name", ["autotune.db", "datasets", "x" * 300, "..", "a\x1b[2J"])
def test_it_is_refused_on_every_way_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = "sqlite:///study.db"
    study = optuna.create_study(storage=storage, study_name=name)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    Path("study.py").write_text("raise SystemExit('it was run')")
    before = sorted(tmp_path.rglob("*"))
    commands = ["resume", "status", "best", "finalize", "learning-curve", "explain", "report", "refine"]
    lines = [[command, name] for command in commands] + [["replay", name, "--trial", "0"]]
    lines += [["export", name, "-o", "out"], ["run", "study.py", "--name", name], ["status", name, "--watch"]]
    for line in lines:
        assert main([*line, "--storage", storage]) == 2, line
        printed = capsys.readouterr()
        assert "cannot name a study" in printed.err, line
        assert "\x1b" not in printed.err + printed.out
        assert "Traceback" not in printed.err
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(StudyFileError, match="cannot name a study"):
        autotune.StudySpec(name=name, objective=len, direction="minimize")
    with pytest.raises(UsageError, match="cannot name a study"):
        autotune.run("study.py", name=name)
    with pytest.raises(UsageError, match="cannot name a study"):
        require_study(optuna.storages.InMemoryStorage(), name)


@pytest.mark.parametrize("what", ["a link", "no folder"])
def test_what_is_no_folder_of_its_own_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "runs").mkdir()
    place = tmp_path / "runs" / "toy"
    place.touch() if what == "no folder" else place.symlink_to(tmp_path)
    with pytest.raises(StorageError, match=f"toy is {what}"):
        study_folder(tmp_path / "runs", "toy")
