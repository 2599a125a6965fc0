"""The command line as a person meets it: output, exit codes, and plain words for every mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from command_line import Result, autotune, autotune_process

TOY = """
import optuna
from autotune import StudySpec


def objective(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    for step in (1, 2):
        trial.report(x * x, step)
    return x * x


study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=3, seed=0)
"""

KERAS = """
import keras
from autotune import {imports}StudySpec


def build(trial, data):
    width = trial.suggest_int("width", 2, 4)
    inputs = keras.Input(data.input_shape)
    hidden = keras.layers.Dense(width)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(data.n_classes, activation="softmax")(hidden))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = StudySpec(name="net", build=build, direction="maximize", epochs=1, n_trials=1, {arguments})
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    return tmp_path


def expect_usage_error(result: Result, *words: str) -> None:
    """Exit code 2, and on stderr what happened, what was expected and how to fix it; no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.rstrip().splitlines()
    first, *others = [line for line in lines if not line.startswith("Study file: ")]  # said before it is run
    assert re.match(r"\w+Error: ", first), result.stderr
    assert len(others) >= 2, result.stderr
    assert all(line.startswith("  ") for line in others), result.stderr
    for word in words:
        assert word in result.stderr


def trials(folder: Path, name: str = "toy") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/runs/autotune.db").trials


def test_a_run_prints_a_line_for_each_trial_and_then_what_was_found(here: Path) -> None:
    result = autotune_process("run", "toy.py", "--workers", "2")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert sum(line.startswith("[") for line in lines) == 3
    best = min(t.value for t in trials(here) if t.value is not None)
    assert f"Best value: {best:.6g}" in result.stdout
    assert "autotune dashboard" in result.stdout
    assert "\x1b" not in result.stdout


def test_running_again_does_nothing_and_says_so_and_more_trials_go_on(here: Path) -> None:
    autotune("run", "toy.py")
    before = trials(here)
    again = autotune("run", "toy.py")
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout
    assert trials(here) == before
    more = autotune("resume", "toy", "--trials", "5")
    assert more.returncode == 0
    assert len(trials(here)) == 5
    assert trials(here)[:3] == before
    assert autotune("run", "toy.py").stdout.count("Nothing to do") == 1  # --trials 5 is remembered


def test_status_and_best_print_json_and_nothing_else(here: Path) -> None:
    autotune("run", "toy.py")
    status = json.loads(autotune("status", "toy", "--json").stdout)
    assert (status["study"], status["n_trials"], status["complete"], status["running"]) == ("toy", 3, 3, 0)
    assert [s["study"] for s in json.loads(autotune("status", "--json").stdout)] == ["toy"]
    best = json.loads(autotune("best", "toy", "--json").stdout)
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{here}/runs/autotune.db")
    assert best["value"] == study.best_value
    assert best["params"] == study.best_params
    assert best["trial"] == study.best_trial.number
    assert best["seed"] == 0


def test_status_shows_every_column_in_a_pipe(here: Path) -> None:
    autotune("run", "toy.py")
    header = autotune("status").stdout.splitlines()[0]
    for column in ("study", "finished", "pruned", "failed", "running", "waiting", "best", "time left", "workers"):
        assert column in header


def test_looking_creates_nothing(here: Path) -> None:
    assert autotune("status").returncode == 0
    expect_usage_error(autotune("best", "toy"), "does not exist")
    expect_usage_error(autotune("dashboard"), "does not exist")
    assert not (here / "runs").exists()


def test_options_and_environment_say_where_the_study_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = f"sqlite:///{here}/elsewhere.db"
    result = autotune("run", "toy.py", "--storage", storage, "--run-dir", here / "files", "--name", "other")
    assert result.returncode == 0
    assert f"autotune resume other --trials 6 --storage {storage} --run-dir {here}/files" in result.stdout
    assert len(optuna.load_study(study_name="other", storage=storage).trials) == 3
    assert (here / "files" / "other" / "trials" / "00000" / "log.txt").exists()
    monkeypatch.setenv("OPTUNA_STORAGE", storage)
    assert json.loads(autotune("best", "other", "--json").stdout)["study"] == "other"
    assert autotune("resume", "other", "--trials", "4").returncode == 0  # finds its run dir by itself
    assert (here / "files" / "other" / "trials" / "00003" / "log.txt").exists()
    assert not (here / "runs").exists()


def test_help_names_every_command() -> None:
    text = autotune_process("--help").stdout
    for command in ("check", "run", "resume", "status", "best", "dashboard", "serve", "datasets"):
        assert re.search(rf"^ +{command}\b", text, re.MULTILINE)


def test_datasets_says_what_is_there_and_how_to_get_the_rest(here: Path) -> None:
    result = autotune("datasets", "--data-dir", here)
    assert result.returncode == 0
    assert re.search(r"digits +ready", result.stdout)
    assert "--data-dir" in result.stdout


def test_a_missing_study_file_is_plain(here: Path) -> None:
    expect_usage_error(autotune("run", "nowhere.py"), "nowhere.py", "No such file")
    expect_usage_error(autotune("run", here), "directory")


def test_a_command_that_is_stopped_before_it_has_begun_says_so(here: Path) -> None:
    os.mkfifo(here / "slow.py")
    command = [sys.executable, "-m", "autotune", "run", "slow.py"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        open(here / "slow.py", "w"),  # which waits until the command reads it
    ):
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate()
    assert (process.returncode, printed, said) == (130, "", "Stopped by SIGINT.\n")


def test_a_syntax_error_in_the_study_file_is_plain(here: Path) -> None:
    (here / "bad.py").write_text("study = (\n")
    expect_usage_error(autotune("run", "bad.py"), "bad.py", "line 1")


def test_a_study_file_without_a_study_is_plain(here: Path) -> None:
    (here / "bad.py").write_text("speck = 1\n")
    expect_usage_error(autotune("run", "bad.py"), "declares no study")


def test_a_study_file_that_raises_is_plain(here: Path) -> None:
    (here / "bad.py").write_text("x = 1\nx / 0\n")
    expect_usage_error(autotune("run", "bad.py"), "ZeroDivisionError", "bad.py:2")


@pytest.mark.parametrize("option", ["--trials", "--workers", "--timeout"])
def test_zero_is_plain(here: Path, option: str) -> None:
    expect_usage_error(autotune("run", "toy.py", option, "0"), option)


def test_an_option_that_is_no_number_exits_with_2(here: Path) -> None:
    result = autotune("run", "toy.py", "--trials", "many")
    assert result.returncode == 2
    assert "many" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/study.db",
        "nonsense",
        "nodatabase://user:secret@host/db",
        "journal:////nowhere/at/all/study.log",
        "grpc://user:secret@127.0.0.1:1",
    ],
)
def test_what_can_be_no_storage_is_plain_and_keeps_passwords_secret(here: Path, url: str) -> None:
    result = autotune("run", "toy.py", "--storage", url)
    expect_usage_error(result, "StorageError")
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize("url", ["postgresql+psycopg://user:secret@127.0.0.1:1/db", "grpc://127.0.0.1:1"])
def test_a_storage_that_does_not_answer_is_waited_for_and_plain(here: Path, url: str) -> None:
    result = autotune("run", "toy.py", "--storage", url, "--timeout", "1")
    waiting, *problem = result.stderr.splitlines(keepends=True)
    assert "does not answer" in waiting
    assert "Waiting" in waiting
    result.stderr = "".join(problem)
    expect_usage_error(result, "StorageError")
    assert "secret" not in result.stdout + result.stderr + waiting


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("journal:///study.log", "two slots claim the same trial"),
        ("study.journal", "two slots claim the same trial"),
        ("sqlite://", "in memory"),
        ("sqlite:///", "in memory"),
        ("grpc://127.0.0.1:13000", "a proxy itself"),
        ("nonsense", "not a URL"),
        ("sqlite:////nowhere/at/all/study.db", "no folder"),
    ],
)
def test_a_storage_that_cannot_be_served_is_plain(here: Path, url: str, words: str) -> None:
    expect_usage_error(autotune("serve", "--storage", url, "--port", "0"), url, words)
    assert [path.name for path in here.iterdir()] == ["toy.py"]


@pytest.mark.parametrize("address", [["--port", "99999"], ["--port", "-1"], ["--host", "192.0.2.1"]])
def test_an_address_that_cannot_be_served_on_is_plain(here: Path, address: list[str]) -> None:
    pytest.importorskip("grpc", reason="no gRPC: install the extra grpc")
    result = autotune("serve", "--storage", f"sqlite:///{here}/study.db", *address)
    expect_usage_error(result, address[1], "cannot be used", "--port")


def test_a_port_that_another_proxy_has_is_plain(here: Path) -> None:
    pytest.importorskip("grpc", reason="no gRPC: install the extra grpc")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = autotune("serve", "--storage", f"sqlite:///{here}/study.db", "--port", str(port))
    expect_usage_error(result, f"127.0.0.1:{port} cannot be used", f"--port {port + 1}")


def test_serving_warns_that_anybody_may_come_in() -> None:
    assert "no authentication" in " ".join(autotune("serve", "--help").stdout.split())


def test_a_run_dir_that_cannot_be_written_is_plain(here: Path) -> None:
    (here / "file").touch()
    expect_usage_error(autotune("run", "toy.py", "--run-dir", here / "file" / "runs"), "cannot be written")


def test_names_that_are_not_there_are_plain(here: Path) -> None:
    autotune("run", "toy.py")
    expect_usage_error(autotune("best", "tyo"), "'tyo'", "toy")
    expect_usage_error(autotune("resume", "tyo"), "'tyo'", "toy")
    expect_usage_error(autotune("explain", "tyo"), "'tyo'", "toy")
    (here / "toy.py").unlink()
    expect_usage_error(autotune("resume", "toy", "--trials", "9"), "no longer there")


def test_best_of_a_study_without_complete_trials_is_plain(here: Path) -> None:
    optuna.create_study(study_name="empty", storage=f"sqlite:///{here}/empty.db")
    expect_usage_error(autotune("best", "empty", "--storage", f"sqlite:///{here}/empty.db"), "complete")


def test_a_study_whose_trials_keep_failing_exits_with_1_and_the_last_reason(here: Path) -> None:
    (here / "toy.py").write_text(TOY.replace("return x * x", "raise RuntimeError('no such thing')"))
    result = autotune("run", "toy.py", "--workers", "1")
    assert result.returncode == 1
    assert "5 trials in a row" in result.stderr
    assert "no such thing" in result.stderr
    assert "Traceback" not in result.stderr
    failed = trials(here)
    assert [t.state.name for t in failed] == ["FAIL"] * 5
    assert "RuntimeError: no such thing" in failed[-1].user_attrs["failure_message"]
    assert "RuntimeError: no such thing" in (here / "runs/toy/trials/00004/log.txt").read_text()


@pytest.mark.trains
def test_an_unknown_dataset_is_plain(here: Path) -> None:
    (here / "net.py").write_text(KERAS.format(imports="", arguments='dataset="cifar", monitor="val_loss"'))
    expect_usage_error(autotune("run", "net.py"), "'cifar'", "digits", "mnist")


@pytest.mark.trains
@pytest.mark.parametrize("kind", ["torn", "keys", "shape"])
def test_an_unusable_mnist_file_is_plain(here: Path, kind: str) -> None:
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    if kind == "keys":
        arrays = {f"{name}s": array for name, array in arrays.items()}
    if kind == "shape":
        arrays["x_train"] = images[:, :14]
    np.savez(here / "mnist.npz", **arrays)
    if kind == "torn":
        whole = (here / "mnist.npz").read_bytes()
        (here / "mnist.npz").write_bytes(whole[: len(whole) // 2])
    (here / "net.py").write_text(KERAS.format(imports="", arguments='dataset="mnist", monitor="val_loss"'))
    expect_usage_error(autotune("run", "net.py", "--data-dir", here), "mnist.npz")


@pytest.mark.trains
def test_folds_larger_than_the_smallest_class_are_plain(here: Path) -> None:
    (here / "net.py").write_text(KERAS.format(imports="", arguments='dataset="digits", monitor="val_loss"'))
    expect_usage_error(autotune("run", "net.py", "--folds", "500"), "class")


@pytest.mark.trains
def test_an_unknown_monitor_is_plain_and_its_trial_goes_on_once_it_is_put_right(here: Path) -> None:
    text = KERAS.format(imports="", arguments='dataset="digits", monitor="val_acc"')
    (here / "net.py").write_text(text)
    expect_usage_error(autotune("run", "net.py"), "'val_acc'", "val_accuracy", "val_loss")
    (waiting,) = trials(here, "net")
    assert waiting.state.name == "WAITING"
    (here / "net.py").write_text(text.replace("val_acc", "val_accuracy"))
    result = autotune("run", "net.py")
    assert result.returncode == 0, result.stderr
    (trial,) = trials(here, "net")
    assert (trial.state.name, trial.params) == ("COMPLETE", waiting.params)
    assert list(trial.intermediate_values) == [1]
    log = (here / "runs/net/trials/00000/log.txt").read_text()
    assert len(re.findall(r"^\d+/\d+ - ", log, re.MULTILINE)) == 1  # the epoch before the mistake was not trained again


@pytest.mark.trains
def test_a_changed_search_space_or_split_is_refused_with_the_difference_and_the_way_out(here: Path) -> None:
    text = KERAS.format(imports="Holdout, ", arguments='dataset="digits", monitor="val_loss", folds=Holdout(0.2)')
    (here / "net.py").write_text(text)
    assert autotune("run", "net.py").returncode == 0
    (here / "net.py").write_text(text.replace('"width", 2, 4', '"width", 2, 8'))
    expect_usage_error(autotune("run", "net.py", "--trials", "2"), "from 2 to 4", "from 2 to 8", "--name")
    (here / "net.py").write_text(text.replace("Holdout(0.2)", "Holdout(0.1)"))
    expect_usage_error(autotune("resume", "net", "--trials", "2", "--trust"), "split", "--name")
    assert len(trials(here, "net")) == 1
    assert autotune("run", "net.py", "--name", "new").returncode == 0
    assert len(trials(here, "new")) == 1


@pytest.mark.trains
def test_mnist_trains_from_the_data_dir(here: Path, data_dir: Path) -> None:
    study_file = Path(__file__).parent.parent / "studies" / "mnist_cnn.py"
    (here / "small.py").write_text(study_file.read_text().replace('dataset="mnist"', "dataset=few"))
    text = (here / "small.py").read_text()
    few = (
        "def few():\n    from pathlib import Path\n    from autotune.data import load_development\n"
        f"    whole = load_development('mnist', Path({str(data_dir)!r}))\n"
        "    return Dataset(whole.x[:600], whole.y[:600])\n\n\nstudy ="
    )
    (here / "small.py").write_text(text.replace("study =", few))
    result = autotune("run", "small.py", "--trials", "2", "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert len(trials(here, "mnist-cnn")) == 2
    assert os.path.exists(json.loads(autotune("best", "mnist-cnn", "--json").stdout)["model"])
