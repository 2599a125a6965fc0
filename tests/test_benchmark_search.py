"""The benchmark of searches: exact budgets, an asynchronous clock, regret, noise, and every method there is."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import benchmark_search  # scripts/benchmark_search.py
import numpy as np
import pytest
import search_methods
from benchmark_search import METHODS, Run, run_search
from earlier_searches import EarlierSearches
from lcbench import EPOCHS, Config, Curves, LCBench, Surrogate, Task, draw
from optuna.distributions import FloatDistribution, IntDistribution
from simulated_search import Job, Method, NotHereError, Setting, Standing, simulate
from synthetic_curves import FAMILIES, Synthetic

from autotune.seeds import derive_seed
from autotune.study import EpochPolicy

SHORT = Setting(budget=60, checkpoints=(50, 60), workers=4, noise=0.5)


class Toy:
    """Curves that rise to 90 % at best; an epoch takes 1 to 10 s."""

    space: ClassVar = {"x": FloatDistribution(0.0, 1.0), "units": IntDistribution(1, 64, log=True)}
    tasks = ("one", "two", "three")
    epoch_policy: EpochPolicy = "last"

    def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
        x, units = (np.array([[config[name]] for config in configs]) for name in self.space)
        ends = 90.0 - 40.0 * (x - 0.3) ** 2 - np.log2(units) * (task == "two")
        return Curves(ends * (1.0 - np.exp(-np.asarray(epochs) / 5.0)), (1.0 + 9.0 * x) * np.asarray(epochs))

    def draw(self, n: int, chance: np.random.Generator) -> list[Config]:
        return draw(self.space, n, chance)


class Scripted:
    """Hands out given jobs in turn, and remembers what it is told; at the end of the list it has nothing to do."""

    def __init__(self, *jobs: Job | None) -> None:
        self.jobs = list(jobs)
        self.told: list[tuple[object, int]] = []
        self.accuracies: list[float] = []

    def ask(self, worker: int) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        self.told.append((job.trial, epoch))
        self.accuracies.append(accuracy)
        return True

    def choose(self) -> None:
        return None


@pytest.fixture
def task() -> Task:
    return Task(Toy(), "one")


def job(name: str, x: float, trained: int = 0, epochs: int = EPOCHS) -> Job:
    return Job(name, {"x": x, "units": 8}, trained, epochs)


def without_cost(run: Run) -> list[Standing]:
    return [dataclasses.replace(standing, method_s=0.0) for standing in run.standings]


@pytest.mark.parametrize("workers", [1, 3])
def test_exactly_the_budget_is_spent_whatever_runs(task: Task, workers: int) -> None:
    method = Scripted(*(job(f"trial {n}", n / 10) for n in range(6)))
    standings = simulate(method, task, Setting(budget=103, checkpoints=(50, 100, 103), workers=workers))
    assert len(method.told) == 103
    assert [standing.epochs for standing in standings] == [50, 100, 103]


def test_a_quick_worker_does_not_wait_for_a_slow_one(task: Task) -> None:
    method = Scripted(job("slow", x=1.0), job("quick", x=0.0, epochs=8), job("next", x=0.0))  # 10 s, 1 s, 1 s an epoch
    (standing,) = simulate(method, task, Setting(budget=11, checkpoints=(11,), workers=2))
    assert method.told[:8] == [("quick", epoch) for epoch in range(1, 9)]
    assert method.told[8:] == [("next", 1), ("slow", 1), ("next", 2)]
    assert standing.clock_s == 10.0


def test_workers_share_the_time_but_not_the_budget(task: Task) -> None:
    alone, four = (
        run_search("random", task, Setting(budget=400, checkpoints=(400,), workers=workers)) for workers in (1, 4)
    )
    assert four.standings[0].clock_s < 0.5 * alone.standings[0].clock_s
    assert four.standings[0].epochs == alone.standings[0].epochs


def test_a_worker_without_a_trial_waits_for_one(task: Task) -> None:
    method = Scripted(
        job("first", x=0.5, epochs=2), None, job("second", x=0.5, epochs=1), job("third", x=0.5, epochs=1)
    )
    simulate(method, task, Setting(budget=4, checkpoints=(4,), workers=2))
    # Asked again after each epoch, the second worker begins while the first trial still runs.
    assert sorted(method.told) == [("first", 1), ("first", 2), ("second", 1), ("third", 1)]
    with pytest.raises(RuntimeError, match="nothing to do after 1 epochs"):
        simulate(Scripted(job("only", x=0.5, epochs=1)), task, Setting(budget=4, checkpoints=(4,)))


def test_a_continued_trial_pays_for_its_new_epochs_only(task: Task) -> None:
    method = Scripted(job("whole", x=0.5, epochs=2), job("continued", x=0.5, trained=2, epochs=5))
    simulate(method, task, Setting(budget=5, checkpoints=(5,)))
    assert method.told == [("whole", 1), ("whole", 2), ("continued", 3), ("continued", 4), ("continued", 5)]


def test_beginning_a_job_spends_budget_and_time(task: Task) -> None:
    method = Scripted(*(job(name, x=0.0, epochs=2) for name in ("first", "second", "third")))  # 1 s an epoch
    setting = Setting(budget=11, checkpoints=(5, 7, 9, 11), start_epochs=3)
    standings = simulate(method, task, setting)
    assert method.told == [("first", 1), ("first", 2), ("second", 1), ("second", 2), ("third", 1)]
    assert [(standing.epochs, standing.clock_s) for standing in standings] == [(5, 5.0), (7, 5.0), (9, 9.0), (11, 10.0)]


class Turning(Toy):
    """Curves that rise to their best epoch, the tenth, and fall; with an x of more than .5 they end there."""

    def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
        x = np.array([[config["x"]] for config in configs])
        after = np.asarray(epochs) - 10.0
        accuracy = np.where((x > 0.5) & (after > 0), np.nan, 80.0 + x - np.abs(after))
        return Curves(accuracy, np.broadcast_to(np.asarray(epochs, float), accuracy.shape))


def test_a_training_that_diverges_ends_its_job_and_is_not_handed_over() -> None:
    method = Scripted(job("diverges", x=0.6), job("lives", x=0.4))
    (standing,) = simulate(method, task := Task(Turning(), "one"), Setting(budget=31, checkpoints=(31,)))
    assert method.told == [("diverges", n) for n in range(1, 12)] + [("lives", n) for n in range(1, 21)]
    assert standing.chosen == task.regret(task.final({"x": 0.4, "units": 8}))
    assert np.isnan(task.final({"x": 0.6, "units": 8}))
    assert task.regret(np.nan) == pytest.approx(task.regret(40.0), abs=0.01)  # the least that does not diverge


def test_where_the_best_epoch_counts_the_best_so_far_is_reported_and_is_a_trainings_worth() -> None:
    surrogate, method = Turning(), Scripted(job("first", x=0.4))
    surrogate.epoch_policy = "best"
    task = Task(surrogate, "one")
    simulate(method, task, Setting(budget=14, checkpoints=(14,)))
    assert method.accuracies[8:] == [79.4, 80.4, 80.4, 80.4, 80.4, 80.4]
    assert task.final({"x": 0.4, "units": 8}) == 80.4
    assert task.finals([{"x": 0.4, "units": 8}, {"x": 0.2, "units": 8}]) == pytest.approx([80.4, 80.2])


@pytest.mark.parametrize("family", FAMILIES)
def test_searches_get_along_with_each_family_of_synthetic_curves(family: str) -> None:
    surrogate = Synthetic(family)
    task = Task(surrogate, surrogate.tasks[0])
    drawn = surrogate.curves(task.name, task.draw(500, np.random.default_rng(0)), range(1, EPOCHS + 1)).accuracy
    assert np.nanmin(drawn) >= 40.0
    assert np.nanmax(drawn) <= 98.0
    assert np.isnan(drawn[:, -1]).mean() == pytest.approx(0.3 if family == "failing" else 0.0, abs=0.06)
    run = run_search("random", task, Setting(budget=500, checkpoints=(50, 500)))
    assert run.standings[0].chosen >= run.standings[1].chosen > 0.0
    run = run_search("autotune-curves", task, Setting(budget=100, checkpoints=(100,)))
    assert 0.0 < run.standings[0].chosen < 3.0


def test_synthetic_curves_need_no_data(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command[1:3] = ["--curves", "grid"]
    assert benchmark_search.main() == 0
    assert '6 tasks of "grid"' in capsys.readouterr().out
    command[-1] = "keras-tuner-hyperband"  # which is for numbers only
    assert benchmark_search.main() == 2
    assert "no method keras-tuner-hyperband" in capsys.readouterr().err


def test_our_search_is_told_how_long_it_takes_to_begin(task: Task) -> None:
    told, not_told = (
        run_search("autotune-curves", task, Setting(200, (200,), start_epochs=start)) for start in (12, 0)
    )
    alone = simulate(search_methods.curves(task.space, derive_seed(0, "method", task.name), 12.0), task, told.setting)
    assert without_cost(told) == without_cost(dataclasses.replace(told, standings=tuple(alone)))
    assert told.standings[0].trials < not_told.standings[0].trials


@pytest.mark.parametrize("method", ["autotune-curves", "autotune-defaults"])
def test_a_search_begins_with_what_it_learns_from_searches_of_other_tasks(method: str) -> None:
    tasks = {name: Task(Toy(), name) for name in Toy.tasks}
    earlier = EarlierSearches(tasks)
    origins = earlier.origins("one", 0, 2, worst=False)
    assert {origin.study for origin in origins} == {"two", "three"}
    assert origins == EarlierSearches(tasks).origins("one", 0, 2, worst=False)
    searching = search_methods.LEARNING[method](tasks["one"].space, 0, origins)
    assert [searching.ask(0).config for _ in origins] == [origin.params for origin in origins]
    setting = Setting(12, (12,), earlier=2)
    learned, alone = (run_search(method, tasks["one"], setting, searches) for searches in (earlier, None))
    assert learned.standings[0].chosen < alone.standings[0].chosen


def test_the_worst_of_earlier_searches_are_worse_than_their_best() -> None:
    tasks = {name: Task(Toy(), name) for name in Toy.tasks}
    earlier = EarlierSearches(tasks)
    best, worst = (earlier.origins("one", 0, 2, worst)[0].params for worst in (False, True))
    assert abs(best["x"] - 0.3) + 0.2 < abs(worst["x"] - 0.3)


def test_regret_is_0_for_the_best_random_configuration_and_1_for_the_median(task: Task) -> None:
    asked: list[Config] = []

    class Asked(Toy):
        def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
            asked.extend(configs)
            return super().curves(task, configs, epochs)

    watched = Task(Asked(), "one")
    watched.regret(0.0)
    assert len(asked) == 10_000
    finals = [watched.training(config).accuracy[-1] for config in asked[:10_000]]
    assert watched.regret(max(finals)) == pytest.approx(0.0, abs=1e-12)
    assert watched.regret(float(np.median(finals))) == pytest.approx(1.0)


def test_what_is_handed_over_is_judged_by_its_last_epoch_and_without_noise(task: Task) -> None:
    noisy = Setting(budget=2, checkpoints=(2,), noise=100.0)
    bad, good = job("bad", x=1.0, epochs=1), job("good", x=0.3, epochs=1)
    (standing,) = simulate(Scripted(bad, good), task, noisy)
    told = {
        one.trial: task.noise(one.config, 100.0, 0)[0] + task.training(one.config).accuracy[0] for one in (bad, good)
    }
    luckier = max((bad, good), key=lambda one: told[one.trial])
    curve = task.training(luckier.config).accuracy
    assert standing.chosen == task.regret(curve[-1])
    assert standing.seen == task.regret(curve[0])


def test_noise_depends_on_task_configuration_epoch_and_seed_only(task: Task) -> None:
    config, other = {"x": 0.5, "units": 8}, {"x": 0.5, "units": 9}
    noise = task.noise(config, 0.5, seed=3)
    assert np.array_equal(noise, Task(Toy(), "one").noise({"units": 8.0, "x": 0.5}, 0.5, seed=3))
    assert len(np.unique(noise)) == EPOCHS
    many = np.array([task.noise(config, 0.5, seed) for seed in range(200)])
    assert many.std() == pytest.approx(0.5, rel=0.05)
    for different in (task.noise(other, 0.5, 3), Task(Toy(), "two").noise(config, 0.5, 3), many[4]):
        assert not np.isclose(noise, different).any()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_searches_with_several_workers_and_repeats_itself(name: str, task: Task) -> None:
    try:
        run = run_search(name, task, SHORT)
    except NotHereError as error:
        pytest.skip(str(error))
    assert [standing.epochs for standing in run.standings] == [50, 60]
    assert run.standings[-1].chosen < 2.0
    assert without_cost(run_search(name, task, SHORT)) == without_cost(run)
    assert without_cost(run_search(name, task, dataclasses.replace(SHORT, seed=1))) != without_cost(run)


class Watched:
    """Remembers what a method hands out, and the last accuracy that it was told of each job."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.jobs: list[Job] = []
        self.told: dict[int, tuple[int, float]] = {}  # for each job, by its place

    def ask(self, worker: int) -> Job | None:
        job = self.method.ask(worker)
        if job is not None:
            self.jobs.append(job)
        return job

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        self.told[self.jobs.index(job)] = (epoch, accuracy)
        return self.method.report(job, epoch, accuracy)

    def choose(self) -> Config | None:
        return self.method.choose()


def watched(name: str, task: Task, budget: int) -> Watched:
    try:
        method = Watched(METHODS[name](task.space, 0))
    except NotHereError as error:
        pytest.skip(str(error))
    simulate(method, task, Setting(budget, (budget,)))
    return method


def test_smac_takes_the_best_third_of_a_round_further_from_where_they_were(task: Task) -> None:
    method = watched("smac", task, budget=150)
    looks = [(0, 2), (2, 6), (6, 17), (17, 50)]  # its first bracket: 27 configurations, of which it has some twice here
    rounds = [[job for job in method.jobs if (job.trained, job.epochs) == look] for look in looks]
    assert 20 <= len(rounds[0]) <= 27
    assert [len(one) for one in rounds[1:]] == [9, 3, 1]
    ends = {job.trial: task.training(job.config).accuracy for job in method.jobs}
    for earlier, later in itertools.pairwise(rounds):
        best = sorted(earlier, key=lambda job: ends[job.trial][job.epochs - 1])[-len(later) :]
        assert {job.trial for job in later} == {job.trial for job in best}
    assert method.choose() == rounds[-1][0].config


@pytest.mark.parametrize("name", ["syne-tune-asha", "mobster"])
def test_syne_tune_pauses_trials_at_rungs_and_takes_up_the_best(name: str, task: Task) -> None:
    method = watched(name, task, budget=150)
    ended: dict[object, int] = {}
    configs: dict[object, Config] = {}
    for place, job in enumerate(method.jobs[:-1]):
        assert job.trained == ended.get(job.trial, 0)
        assert configs.setdefault(job.trial, job.config) == job.config
        ended[job.trial] = method.told[place][0]
    assert {*ended.values()} <= {1, 3, 9, 27, EPOCHS}
    firsts, taken_up = ([job for job in method.jobs if (job.trained > 0) is later] for later in (False, True))
    assert len({job.trial for job in firsts}) == len(firsts) > len({job.trial for job in taken_up}) > 0

    def first(job: Job) -> float:
        return float(task.training(job.config).accuracy[0])

    assert np.mean([*map(first, taken_up)]) > np.mean([*map(first, firsts)])
    best = max(method.told.values(), key=lambda told: told[1])
    assert any(method.choose() == job.config for place, job in enumerate(method.jobs) if method.told[place] == best)


def test_configurations_are_drawn_from_the_whole_space_on_its_scale() -> None:
    drawn = draw(Toy.space, 2_000, np.random.default_rng(0))
    units = [config["units"] for config in drawn]
    assert {1.0, 64.0} <= {*units} <= {*map(float, range(1, 65))}
    assert 4 <= np.median(units) <= 8
    assert all(0.0 <= config["x"] <= 1.0 for config in drawn)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the script find the toy for LCBench; arguments are appended to the list."""
    arguments = ["benchmark_search.py", "--data-dir", "nowhere", "--budget", "60", "--methods", "random"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(benchmark_search, "LCBench", lambda folder: Toy())
    return arguments


def test_runs_that_are_in_the_file_are_not_done_again(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "runs.jsonl"
    command += ["--json", str(file), "--seeds", "2"]
    assert benchmark_search.main() == 0
    lines, shown = file.read_text().splitlines(), capsys.readouterr().out
    assert len(lines) == 2 * 2  # two seeds of the tasks one and three
    assert shown.count("\nrandom ") == 3
    monkeypatch.setattr(benchmark_search, "simulate", pytest.fail)
    assert benchmark_search.main() == 0
    assert file.read_text().splitlines() == lines
    assert capsys.readouterr().out == shown


def test_the_judging_tasks_are_the_others(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    command += ["--json", str(file), "--tasks", "judging"]
    assert benchmark_search.main() == 0
    assert '"task": "two"' in file.read_text()
    assert '"task": "one"' not in file.read_text()


def test_a_method_that_is_not_here_is_skipped_by_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(space: object, seed: int) -> None:
        raise NotHereError("the package peer is not installed")

    monkeypatch.setitem(benchmark_search.METHODS, "peer", missing)
    command[-1] = "peer,random"
    assert benchmark_search.main() == 0
    assert "\npeer is skipped: the package peer is not installed\n" in capsys.readouterr().out


def test_what_is_missing_or_misspelt_is_said_plainly(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_search, "LCBench", LCBench)
    assert benchmark_search.main() == 2
    assert "config_space.json is missing" in capsys.readouterr().err
    command[-1] = "randon"
    assert benchmark_search.main() == 2
    assert "no method randon" in capsys.readouterr().err


@pytest.mark.parametrize("start_epochs", ["-1", "50"])
def test_beginning_a_trial_may_not_take_until_the_first_look(
    command: list[str], start_epochs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command += ["--start-epochs", start_epochs]
    assert benchmark_search.main() == 2
    assert f"--start-epochs {start_epochs} is out of range" in capsys.readouterr().err


@pytest.fixture(scope="module")
def lcbench(data_dir: Path) -> Surrogate:
    if find_spec("onnxruntime") is None:
        pytest.skip("needs onnxruntime: pip install '.[benchmarks]'")
    return LCBench(data_dir)


def test_lcbench_answers_for_34_tasks_at_once_as_one_by_one(lcbench: Surrogate) -> None:
    assert len(lcbench.tasks) == len({*lcbench.tasks}) == 34
    configs = draw(lcbench.space, 5, np.random.default_rng(0))
    curves = lcbench.curves(lcbench.tasks[0], configs, range(1, EPOCHS + 1)).accuracy
    assert curves.shape == (5, EPOCHS)
    assert ((curves > 0) & (curves < 100)).all()
    task = Task(lcbench, lcbench.tasks[0])
    for config, curve in zip(configs, curves, strict=True):
        assert task.training(config).accuracy == pytest.approx(curve, abs=1e-3)
        assert 0.0 < task.training(config).epoch_s < 1_000.0


def test_a_search_on_lcbench_gets_better(lcbench: Surrogate) -> None:
    run = run_search("random", Task(lcbench, lcbench.tasks[0]), Setting(budget=500, checkpoints=(50, 500)))
    assert run.standings[0].chosen > run.standings[1].chosen > 0.0
