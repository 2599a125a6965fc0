"""Studies on a Ray cluster: exact budgets over its nodes, nodes that die and join, stops and mistakes."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

import autotune
from autotune.running.processes.slots import available_cores
from autotune.running.storages.opening import open_storage

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray: install the extra ray"),
]

StudyFile = Callable[..., Path]
Until = Callable[[Callable[[], bool]], None]
ROOT = Path(__file__).parents[3]
PATIENCE_S = 180  # for a machine that is very busy; nothing here waits for time to pass

# Ray's worker processes know the process id of their node's raylet, and what they start inherits it.
SAYING_WHERE = """
    import json
    import time

    def note(trial):
        node = int(os.environ["RAY_RAYLET_PID"])
        trial.set_user_attr("node", node)
        beside = HERE / f"{trial.number}.tmp"
        beside.write_text(json.dumps({"trial": trial.number, "node": node, "process": os.getpid()}))
        beside.replace(HERE / f"node-{node}.json")
"""
MEETING = (
    SAYING_WHERE
    + """
    def objective(trial):
        note(trial)
        while len(list(HERE.glob("node-*.json"))) < 2:
            time.sleep(0.02)  # reason: a file tells nobody that it is there now
        return trial.suggest_float("x", 0, 1)
"""
)
WAITING_FOR_A_FILE = (
    SAYING_WHERE
    + """
    def objective(trial):
        note(trial)
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 1)
        while not (HERE / "go on").exists():
            time.sleep(0.02)  # reason: a file tells nobody that it is there now
        return x
"""
)


KEEPING = (
    SAYING_WHERE
    + """
    import autotune

    def objective(trial):
        x, first = trial.suggest_float("x", 0, 1), 1
        if found := autotune.kept(trial):
            x, first = found.state["x"], found.epoch + 1
        for epoch in range(first, 4):
            with (HERE / f"epochs-{trial.number}").open("a") as file:
                print(epoch, file=file)
            if epoch == 3:
                note(trial)
                while not (HERE / "go on").exists():
                    time.sleep(0.02)  # reason: a file tells nobody that it is there now
            x = x / 2 + epoch
            autotune.keep(trial, epoch, x, state={"x": x})
        return x
"""
)


class RayCluster:
    """A cluster of its own, in a process of its own."""

    def __init__(self, nodes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_cluster.py")), str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=_environment(),
        )
        self.address = self._read()

    def kill_node(self, raylet: int) -> None:
        """Kill the node that the raylet is of."""
        self._tell(str(raylet))

    def add_node(self) -> None:
        """Add a node."""
        self._tell("add")

    def close(self) -> None:
        """End the cluster, and see that nothing of it is left."""
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.communicate()
        _, left = psutil.wait_procs(started, timeout=PATIENCE_S)
        for process in left:
            process.kill()
        assert not left

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        assert self._read() == "done"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **more}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Give a cluster that has two nodes with a CPU each, beside its head; who kills one adds another."""
    cluster = RayCluster(2)
    yield cluster
    cluster.close()


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return f"journal:///{tmp_path / 'study.log'}"


@pytest.fixture
def start(tmp_path: Path, cluster: RayCluster) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give a function that starts the command with Ray as its engine; what is left is killed."""
    with ExitStack() as stack:

        def start(file: Path, url: str, *arguments: object, address: str = cluster.address) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "autotune", "run", str(file), "--engine", "ray", "--lease", "4"]
            command += ["--run-dir", str(tmp_path / "runs"), *map(str, arguments)]
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=tmp_path,
                    env=_environment(RAY_ADDRESS=address, OPTUNA_STORAGE=url),
                    start_new_session=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def _trials(url: str, name: str = "toy") -> list[FrozenTrial]:
    storage = open_storage(url)
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()


def _notes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("node-*.json"))]


@pytest.mark.parametrize(
    "kind",
    [
        "journal",
        pytest.param("postgres_url", marks=pytest.mark.slow),  # tests/test_scripts.py has two parents on it
    ],
)
def test_the_nodes_of_a_cluster_share_a_study_and_keep_its_budget(
    start: Callable[..., subprocess.Popen[str]],
    study_file: StudyFile,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue(kind)
    process = start(study_file(MEETING, "'n_trials': 7"), url)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    trials = _trials(url)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 7
    assert len({trial.user_attrs["node"] for trial in trials}) == 2
    assert "toy: 0 of 7 trials finished; 2 slots" in output
    assert output.count(" complete ") == 7
    again = start(tmp_path / "study.py", url)
    assert "Nothing to do" in again.communicate()[0]


def test_a_study_survives_the_death_of_a_node(
    start: Callable[..., subprocess.Popen[str]],
    study_file: StudyFile,
    cluster: RayCluster,
    journal: str,
    tmp_path: Path,
    until: Until,
) -> None:
    never_pruned = "'pruner': optuna.pruners.NopPruner()"
    process = start(study_file(KEEPING, f"'n_trials': 5, {never_pruned}"), journal)
    until(lambda: len(_notes(tmp_path)) == 2)
    lost = _notes(tmp_path)[0]
    cluster.kill_node(lost["node"])
    until(lambda: not psutil.pid_exists(lost["process"]))  # its trial has not outlived it
    (tmp_path / "go on").touch()
    output = process.communicate()[0]
    cluster.add_node()
    assert process.returncode == 0, output
    trials = _trials(journal)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    assert lost["node"] not in {trial.user_attrs["node"] for trial in trials}
    for trial in trials:  # what the lost one had reached was on the disk that the nodes share
        assert trial.value == ((trial.params["x"] / 2 + 1) / 2 + 2) / 2 + 3
        again = ["3"] if trial.number == lost["trial"] else []
        assert (tmp_path / f"epochs-{trial.number}").read_text().split() == ["1", "2", "3", *again]


@pytest.mark.slow
def test_a_worker_for_which_there_is_no_room_starts_on_a_node_that_joins(
    start: Callable[..., subprocess.Popen[str]],
    study_file: StudyFile,
    cluster: RayCluster,
    journal: str,
    tmp_path: Path,
    until: Until,
) -> None:
    process = start(study_file(WAITING_FOR_A_FILE, "'n_trials': 3"), journal, "--workers", 3)
    until(lambda: len(_notes(tmp_path)) == 2)
    cluster.add_node()
    until(lambda: len(_notes(tmp_path)) == 3)
    (tmp_path / "go on").touch()
    output = process.communicate()[0]
    cluster.kill_node(_notes(tmp_path)[0]["node"])
    assert process.returncode == 0, output
    assert len({trial.user_attrs["node"] for trial in _trials(journal)}) == 3


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_to_the_command_stops_all_workers_and_their_trials_wait(
    start: Callable[..., subprocess.Popen[str]],
    study_file: StudyFile,
    journal: str,
    tmp_path: Path,
    number: signal.Signals,
    until: Until,
) -> None:
    process = start(study_file(WAITING_FOR_A_FILE, "'n_trials': 3"), journal)
    until(lambda: len(_notes(tmp_path)) == 2)
    process.send_signal(number)
    output = process.communicate()[0]
    assert process.returncode == 130, output
    assert "Go on:  autotune resume toy" in output
    assert [trial.state for trial in _trials(journal)] == [TrialState.WAITING] * 2
    until(lambda: not any(psutil.pid_exists(note["process"]) for note in _notes(tmp_path)))


def test_a_mistake_that_shows_on_the_nodes_only_ends_the_command_as_any_other(
    start: Callable[..., subprocess.Popen[str]], study_file: StudyFile, journal: str
) -> None:
    code = "assert 'RAY_RAYLET_PID' not in os.environ, 'no such luck'\ndef objective(trial):\n    return 0.0\n"
    process = start(study_file(code), journal)
    output = process.communicate()[0]
    assert process.returncode == 2, output
    assert "StudyFileError" in output
    assert "no such luck" in output
    assert "(on the node " in output
    assert "Traceback" not in output


@pytest.mark.slow  # the test before it has a failure on a node, test_run_failures.py studies that keep failing
def test_a_study_that_keeps_failing_on_the_nodes_fails(
    start: Callable[..., subprocess.Popen[str]], study_file: StudyFile, journal: str
) -> None:
    process = start(study_file("def objective(trial):\n    raise RuntimeError('as always')\n"), journal)
    output = process.communicate()[0]
    assert process.returncode == 1, output
    assert "StudyFailedError: 5 trials in a row have failed" in output
    assert TrialState.RUNNING not in {trial.state for trial in _trials(journal)}


def test_without_an_address_ray_runs_on_this_machine_for_the_time_of_the_command(
    start: Callable[..., subprocess.Popen[str]], study_file: StudyFile, tmp_path: Path, until: Until
) -> None:
    file = study_file("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    process = start(file, "journal:///relative.log", "--workers", 1, "--timeout", 600, address="")
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert len(_trials(f"journal:///{tmp_path / 'relative.log'}")) == 4
    until(lambda: not [p for p in psutil.pids() if _session(p) == process.pid])


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


KERAS_STUDY = '''
"""A small study with chance in it, that waits in its fourth epoch until it is told to go on."""
import json
import os
import time
from pathlib import Path

import keras

from autotune import Holdout, StudySpec

HERE = Path(__file__).parent


class Wait(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if "RAY_RAYLET_PID" not in os.environ:
            return
        with (HERE / "epochs").open("a") as file:
            print(epoch, file=file)
        if epoch == 3:
            if not list(HERE.glob("node-*.json")):
                until_written(0, 3)
            node = int(os.environ["RAY_RAYLET_PID"])
            beside = HERE / "note.tmp"
            beside.write_text(json.dumps({"node": node, "process": os.getpid()}))
            beside.replace(HERE / f"node-{node}.json")
            while not (HERE / "go on").exists():
                time.sleep(0.02)  # reason: a file tells nobody that it is there now


def build(trial, data):
    model = keras.Sequential([
        keras.Input(data.input_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(trial.suggest_int("units", 4, 12), activation="relu"),
        keras.layers.Dropout(trial.suggest_float("dropout", 0.1, 0.5)),
        keras.layers.Dense(data.n_classes, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = StudySpec(
    name="moving", dataset="digits", folds=Holdout(0.2), build=build, fit=lambda trial: {"callbacks": [Wait()]},
    monitor="val_loss", direction="minimize", epochs=5, n_trials=1, seed=3,
)
'''


@pytest.mark.trains
@pytest.mark.slow
def test_a_trial_whose_node_dies_goes_on_from_its_checkpoint_on_another(
    start: Callable[..., subprocess.Popen[str]],
    cluster: RayCluster,
    journal: str,
    tmp_path: Path,
    until_written: str,
    until: Until,
) -> None:
    file = tmp_path / "moving.py"
    file.write_text(KERAS_STUDY + until_written)
    process = start(file, journal)
    until(lambda: len(_notes(tmp_path)) == 1)
    (first,) = _notes(tmp_path)
    cluster.kill_node(first["node"])
    until(lambda: len(_notes(tmp_path)) == 2)
    (tmp_path / "go on").touch()
    output = process.communicate()[0]
    cluster.add_node()
    assert process.returncode == 0, output
    (moved,) = _trials(journal, "moving")
    assert (tmp_path / "epochs").read_text().split() == ["0", "1", "2", "3", "3", "4"]
    (undisturbed,) = autotune.run(
        file,
        storage=f"journal:///{tmp_path / 'other.log'}",
        run_dir=tmp_path / "other",
        workers=available_cores(),  # one thread for each trial, as a worker of one CPU has
    ).get_trials()
    assert moved.params == undisturbed.params
    assert moved.intermediate_values == undisturbed.intermediate_values
    assert moved.value == undisturbed.value
