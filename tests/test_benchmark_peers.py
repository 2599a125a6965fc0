"""The benchmark of real searches: one space for all, a journal of many processes, medians, and a table of tiny runs."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import benchmark_peers
import numpy as np
import optuna
import psutil
import pytest
from benchmark_peers import Plan, _is_enough, _parser, _plan
from peers.journal import EpochDone, Journal, TrialDone
from peers.measuring import Measured, environment_of_searches, run_for
from peers.methods import METHODS, Search
from peers.problems import PROBLEMS, STUDIES, Problem, Rows
from peers.table import Run, common_levels, new_run, table

from autotune import load_study_file
from autotune.data.sources import load_development
from autotune.data.splits import split
from autotune.errors import UsageError
from autotune.search.curves.training import Training

ROOT = Path(__file__).resolve().parent.parent
PEERS = {
    "optuna": ["optuna_integration"],
    "keras-tuner-hyperband": ["keras_tuner"],
    "keras-tuner-bayesian": ["keras_tuner"],
    "ray-2": ["ray", "pandas", "pyarrow", "fsspec"],
}


def benchmark(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "benchmark_peers.py"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        check=False,
    )


def run(method: str, *improvements: tuple[float, float], seed: int = 0) -> Run:
    return Run(method, seed, 100.0, improvements, 3.0, 9.0, n_trials=4, n_epochs=40, outside=0.25, peak_mib=512.0)


def configurations(problem: Problem, n: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [problem.suggest(study.ask()) for _ in range(n)]


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param]


def test_a_space_is_that_of_its_study_file(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.models.build_cnn", lambda data, **values: None)  # takes what has been suggested
    spec = load_study_file(STUDIES / problem.study_file)
    assert (spec.dataset, spec.epochs, spec.one_hot) == (problem.dataset, problem.epochs, problem.one_hot)
    assert spec.build is not None
    assert spec.fit is not None
    image: Any = SimpleNamespace(input_shape=(28, 28, 1), n_classes=10, name="blank")
    seen = {}
    for values in configurations(problem, 40):
        trial: Any = optuna.trial.FixedTrial(values)
        spec.build(trial, image)
        spec.fit(trial)
        assert trial.distributions.keys() == values.keys()
        seen.update(trial.distributions)
    assert seen == {one.name: one.distribution for one in problem.space}


def test_all_have_the_same_rows() -> None:
    from peers.training import recorded

    problem = PROBLEMS["digits"]
    spec = recorded(load_study_file(STUDIES / problem.study_file), problem.holdout, "journal.jsonl", 0.0, 1)
    data = load_development("digits")
    (fold,) = split(spec.folds, data, 3)
    rows = problem.rows(None, 3)
    assert (rows.x == data.x[fold.train]).all()
    assert (rows.validation_y == data.y[fold.validation]).all()
    assert len(rows.validation_y) == pytest.approx(0.3 * len(data), abs=10)


def test_ours_trains_as_many_passes_as_the_others_in_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peers import curves, ours

    files: list[Path] = []
    monkeypatch.setattr(ours.autotune, "run", lambda study_file, **options: files.append(study_file))
    problem = PROBLEMS["mnist"]
    curves.search(Search(problem, None, 0, 2, 2, tmp_path, Journal(str(tmp_path / "journal.jsonl"), 0.0)))
    spec = load_study_file(files[0])
    assert (spec.epochs, spec.epochs_per_pass) == (40, 4)
    assert spec.sampler is not None
    assert spec.sampler(0).training == spec.pruner.training == Training(40, 0.4)
    assert spec.fit is not None
    plateau = {"batch_size": 64, "schedule": "on_plateau", "plateau_factor": 0.5, "plateau_patience": 2}
    recorder, callback = spec.fit(optuna.trial.FixedTrial(plateau))["callbacks"]
    assert callback.patience == 8
    recorder.on_epoch_begin(0)
    recorder.on_epoch_end(0, {"val_accuracy": 0.5})
    ((noted,), _) = Journal(str(tmp_path / "journal.jsonl"), 0.0).read(until_s=math.inf)
    assert noted.share == 0.25
    _, schedule = spec.fit(optuna.trial.FixedTrial({"batch_size": 64, "schedule": "cosine", "cosine_warmup": 0.0}))[
        "callbacks"
    ]
    assert schedule._epochs == 40


def test_keras_tuner_is_told_which_hyperparameter_depends_on_which(problem: Problem) -> None:
    keras_tuner = pytest.importorskip("keras_tuner")
    from peers.keras_tuner_search import declared

    hp = keras_tuner.HyperParameters()
    declared(problem, hp)
    assert {one.name for one in hp.space} == {one.name for one in problem.space}
    hp.values["optimizer"] = "sgd"
    hp.ensure_active_values()
    values = declared(problem, hp)
    assert "sgd_learning_rate" in values
    assert "adam_learning_rate" not in values


def test_a_journal_tells_what_happened_in_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(str(path), began=0.0)
    assert journal.read(until_s=math.inf) == ([], [])
    late = EpochDone(9.0, "1", 2, 0.9, 0.5, 1.0)
    early, end = EpochDone(1.0, "0", 1, 0.8, 0.5, 1.0), TrialDone(2.0, "0")
    path.write_text("".join(json.dumps(vars(note)) + "\n" for note in (late, end, early)) + '{"seconds": 3.0, "tri')
    assert journal.read(until_s=8.0) == ([early], [end])
    assert journal.read(until_s=9.0) == ([early, late], [end])


def test_a_journal_is_written_as_it_is_read(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal.jsonl"), began=0.0)
    journal.note_epoch("a", 1, 0.5, 2.0, 0.2)
    journal.note_end("a")
    (epoch,), (end,) = journal.read(until_s=math.inf)
    assert (epoch.trial, epoch.epoch, epoch.val_accuracy, epoch.epoch_s, epoch.share) == ("a", 1, 0.5, 2.0, 0.2)
    assert end.trial == "a"
    assert 0 < epoch.seconds <= end.seconds


def test_a_run_counts_what_is_no_epoch_over_all_slots(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    notes = [
        EpochDone(4.0, "0", 1, 0.5, 4.0, 1.0),
        EpochDone(5.0, "1", 1, 0.4, 4.0, 0.5),
        EpochDone(7.0, "0", 2, 0.9, 2.0, 1.0),
    ]
    path.write_text("".join(json.dumps(vars(note)) + "\n" for note in notes))
    measured = new_run("autotune-2", 0, Journal(str(path), 0.0), Measured(None, seconds=10.0, peak_mib=100.0))
    assert measured.improvements == ((4.0, 0.5), (7.0, 0.9))
    assert measured.outside == pytest.approx(0.5)
    assert (measured.n_trials, measured.n_epochs) == (0, 2.5)
    assert (measured.first_epoch_s, measured.first_trial_s) == (4.0, math.inf)


def test_time_to_quality_is_when_it_is_reached_first() -> None:
    one = run("optuna", (5.0, 0.9), (8.0, 0.98999995))
    assert one.seconds_to(0.9) == 5.0
    assert one.seconds_to(0.99) == 8.0  # float32
    assert one.seconds_to(0.995) == math.inf
    assert [one.best_after(seconds) for seconds in (4.0, 6.0, 9.0)] == [0.0, 0.9, 0.98999995]


def test_the_common_level_is_the_worst_best_of_each_seed() -> None:
    runs = [run("optuna", (5.0, 0.9)), run("ray-1", (5.0, 0.8), (9.0, 0.95)), run("optuna", (1.0, 0.7), seed=1)]
    assert common_levels(runs) == {0: 0.9, 1: 0.7}


def test_the_table_has_medians_over_seeds_and_says_who_is_fastest() -> None:
    runs = [run("optuna", (40.0 + seed, 0.97), (60.0, 0.99), seed=seed) for seed in range(3)]
    runs += [run("autotune-2", (10.0 + seed, 0.98), (20.0 + seed, 0.99), seed=seed) for seed in range(3)]
    lines = table(runs, (0.97, 0.995))
    columns = "97.0 % 99.5 % common @25 s @50 s @100 s begins ends trials epochs outside MiB"
    assert " ".join(lines[0].split()) == columns
    assert " ".join(lines[1].split()) == "optuna 41 s – 60 s 0.00 97.00 99.00 3 s 9 s 4 40 25 % 512"
    assert lines[2].split()[:6] == ["autotune-2", "11", "s", "–", "21", "s"]
    assert lines[-1] == "Common: autotune-2 needs 21 s, optuna 60 s: 0.35 of it."


@pytest.mark.parametrize(("until", "enough", "is_enough"), [(0.9, None, True), (0.95, None, False), (2.0, 1, True)])
def test_a_search_has_done_enough_by_its_accuracy_or_its_trials(
    tmp_path: Path, until: float, enough: int | None, is_enough: bool
) -> None:
    journal = Journal(str(tmp_path / "journal.jsonl"), began=0.0)
    plan = Plan("digits", None, ("optuna",), seeds=1, budget_s=1.0, enough=enough, until=until, cores=1)
    assert not _is_enough(plan, journal)
    journal.note_epoch("0", 1, 0.8999999, 1.0, 1.0)  # float32
    journal.note_end("0")
    assert _is_enough(plan, journal) == is_enough


def test_processes_are_ended_with_their_children_when_they_have_done_enough(tmp_path: Path) -> None:
    parent = (
        "import pathlib, subprocess, sys\n"
        "held = bytearray(64 * 2**20)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "pathlib.Path('begun').write_text(str(child.pid))\n"
        "pathlib.Path('begun').rename('child')\n"
        "print('up', flush=True)\n"
        "child.wait()\n"
    )
    log, child = tmp_path / "log.txt", tmp_path / "child"
    measured = run_for([sys.executable, "-c", parent], 600.0, log, tmp_path, os.environ, child.exists)
    assert measured.status is None
    assert 0 < measured.seconds < 600
    assert log.read_text() == "up\n"
    assert not psutil.pid_exists(int(child.read_text()))


def test_memory_is_that_of_a_process_and_its_children(tmp_path: Path) -> None:
    held = "held = bytearray(64 * 2**20)\n"
    child = f"import signal\n{held}print(1, flush=True)\nsignal.pause()\n"
    parent = f"import subprocess, sys\n{held}subprocess.run([sys.executable, '-c', {child!r}])\n"
    log, asked = tmp_path / "log.txt", iter([False])

    def has_been_seen() -> bool:
        return log.read_text() == "1\n" and next(asked, True)

    measured = run_for([sys.executable, "-c", parent], 600.0, log, tmp_path, os.environ, has_been_seen)
    assert measured.peak_mib > 128


def test_a_process_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    endless = [sys.executable, "-c", "import signal; signal.pause()"]
    measured = run_for(endless, 0.5, tmp_path / "log", tmp_path, os.environ, lambda: False)
    assert (measured.status, measured.seconds) == (None, 0.5)


def test_a_process_that_ends_by_itself_says_how(tmp_path: Path) -> None:
    ends = [sys.executable, "-c", "raise SystemExit(3)"]
    measured = run_for(ends, 600.0, tmp_path / "log", tmp_path, os.environ, lambda: False)
    assert measured.status == 3


def test_a_search_joins_no_ray_cluster_and_finds_its_modules() -> None:
    environment = environment_of_searches(Path("/scripts"), {"RAY_ADDRESS": "10.0.0.1:6379", "PYTHONPATH": "/mine"})
    assert "RAY_ADDRESS" not in environment
    assert environment["PYTHONPATH"] == os.pathsep.join(["/scripts", "/mine"])


def test_mistakes_are_told_in_plain_lines(tmp_path: Path) -> None:
    result = benchmark("--methods", "grid", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("UsageError: there is no method grid.")
    result = benchmark("--data", "mnist", "--data-dir", str(tmp_path / "nowhere"), "--budget", "-1", cwd=tmp_path)
    assert result.returncode == 2


@pytest.mark.trains
def test_any_tuner_trains_a_network_of_mnist_and_goes_on_with_it(tmp_path: Path) -> None:
    from peers.training import Trainer

    x = np.random.default_rng(0).random((40, 28, 28, 1), dtype=np.float32)
    y = np.eye(10, dtype=np.float32)[[*range(10)] * 4]
    journal = Journal(str(tmp_path / "journal.jsonl"), began=time.time())
    trainer = Trainer(PROBLEMS["mnist"], Rows(x, y, x[:10], y[:10]), journal, seed=0)
    values = {**configurations(PROBLEMS["mnist"], 1)[0], "schedule": "cosine", "cosine_warmup": 0.1}
    model = trainer.model(values)
    trainer.fit(model, values, "7", epochs=1)
    trainer.fit(model, values, "8", epochs=2, initial_epoch=1)
    epochs, _ = journal.read(until_s=math.inf)
    assert [(epoch.trial, epoch.epoch) for epoch in epochs] == [("7", 1), ("8", 2)]
    assert all(0 <= epoch.val_accuracy <= 1 and epoch.epoch_s > 0 for epoch in epochs)


@pytest.mark.trains
def test_a_method_that_is_not_installed_is_skipped_and_ours_is_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "keras_tuner.py").write_text("raise ImportError('No module named keras_tuner')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    arguments = ["--methods", "keras-tuner-hyperband,autotune-1", "--trials", "2", "--seeds", "1"]
    result = benchmark(*arguments, "--json", "found.json", cwd=tmp_path, PYTHONPATH=path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "keras-tuner-hyperband is skipped: No module named keras_tuner" in result.stdout
    (row,) = re.findall(r"^autotune-1 .*%.*$", result.stdout, re.MULTILINE)
    (found,) = json.loads((tmp_path / "found.json").read_text())["runs"]
    assert row.split()[-1] == f"{found['peak_mib']:.0f}"
    assert found["n_trials"] >= 2
    assert found["n_epochs"] >= 40  # nothing is pruned yet
    assert 0 < found["outside"] < 1
    assert found["peak_mib"] > 100
    assert found["improvements"][-1][1] > 0.9


def test_a_budget_may_be_a_number_of_first_trials_of_the_plain_script(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def first_trials(plan: Plan, method: str, seed: int) -> Run:
        asked.append((method, plan.enough, seed))
        return replace(run(method), first_trial_s=(7.0, 90.0, 8.0)[seed])

    monkeypatch.setattr(benchmark_peers, "_run", first_trials)
    plan = _plan(_parser().parse_args(["--budget", "5x", "--seeds", "3"]))
    assert plan.budget_s == 40.0
    assert asked == [("optuna", 1, 0), ("optuna", 1, 1), ("optuna", 1, 2)]
    assert _plan(_parser().parse_args(["--budget", "30"])).budget_s == 30.0


def test_ours_may_learn_from_a_search_on_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[Any, ...]] = []

    def remembered(place: Path, plan: Plan, method: str, seed: int, earlier: str = "") -> Run:
        ran.append((plan.data, plan.budget_s, method, earlier and earlier.split("/")[-1]))
        return run(method)

    monkeypatch.setattr(benchmark_peers, "_run_in", remembered)
    monkeypatch.setattr(benchmark_peers, "_fits", lambda method, cores: True)
    arguments = ["--data", "mnist", "--methods", "optuna,autotune-curves-learned", "--budget", "9", "--seeds", "1"]
    plan = _plan(_parser().parse_args([*arguments, "--earlier", "5"]))
    assert len([*benchmark_peers._runs(plan)]) == 2
    before, peer, ours = ran
    assert before == ("digits", 5.0, "autotune-curves-2", "")
    assert peer == ("mnist", 9.0, "optuna", "")
    assert ours == ("mnist", 9.0, "autotune-curves-learned", "autotune.db#digits-cnn")
    with pytest.raises(UsageError, match="--earlier is 0"):
        _plan(_parser().parse_args(arguments))


def test_what_is_learned_from_stands_in_the_study_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from peers import curves

    files: list[str] = []
    monkeypatch.setattr(curves, "run_with", lambda search, lines, many: files.append(lines))
    for earlier in ("sqlite:///autotune.db#digits-cnn", ""):
        curves.search(Search(PROBLEMS["mnist"], None, 0, 2, 2, Path(), Journal("", 0.0), earlier))
    assert "learn_from=['sqlite:///autotune.db#digits-cnn']" in files[0]
    assert "learn_from=[]" in files[1]


@pytest.mark.trains
@pytest.mark.parametrize("method", PEERS)
def test_each_peer_trains(tmp_path: Path, method: str) -> None:
    if missing := [name for name in PEERS[method] if find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: pip install '.[benchmarks]'")
    arguments = ["--methods", method, "--trials", "3", "--seeds", "1"]
    result = benchmark(*arguments, "--json", "found.json", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    (found,) = json.loads((tmp_path / "found.json").read_text())["runs"]
    assert found["method"] == method
    assert found["n_trials"] >= 3  # which a peer that fails in each trial does not have
    assert found["n_epochs"] >= 3
    assert 0 < found["outside"] < 1


def test_every_method_has_a_module() -> None:
    for method in METHODS.values():
        assert (ROOT / "scripts" / (method.module.replace(".", "/") + ".py")).exists()
