"""Runs on GPUs, on any machine: the module that finds them is a fake, and no trial loads TensorFlow."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest

import autotune
from autotune.errors import UsageError

StudyFile = Callable[..., Path]

ROOT = Path(__file__).parents[3]
UUIDS = [f"GPU-{letter * 8}-0000" for letter in "abcd"]
LIMIT_S = 120  # only a run that hangs takes so long

PYNVML = f"""
from types import SimpleNamespace

UUIDS = {UUIDS}

class NVMLError(Exception):
    pass

def nvmlInit():
    pass

def nvmlShutdown():
    pass

def nvmlDeviceGetCount():
    return len(UUIDS)

def nvmlDeviceGetHandleByIndex(index):
    return index

def nvmlDeviceGetUUID(handle):
    return UUIDS[handle]

def nvmlDeviceGetName(handle):
    return "NVIDIA H100"

def nvmlDeviceGetMemoryInfo(handle):
    return SimpleNamespace(total=80_000 * 2**20)
"""

SEEN = """
    with (HERE / "seen").open("a") as file:  # by whichever process loads this file
        print(os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)

    def objective(trial):
        trial.set_user_attr("gpu", os.environ.get("CUDA_VISIBLE_DEVICES"))
        return 0.0
"""
WAITING = """
    import socket

    with (HERE / "seen").open("a") as file:
        print(os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)

    def objective(trial):
        global test  # it is closed with the process
        test = socket.create_connection(("127.0.0.1", {port}))
        test.sendall(os.environ["CUDA_VISIBLE_DEVICES"].encode())
        test.recv(1)
        trial.set_user_attr("gpu", os.environ["CUDA_VISIBLE_DEVICES"])
        return 0.0
"""


@pytest.fixture
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with a `pynvml` for a machine with four GPUs; it is found first by other processes and here."""
    folder = tmp_path / "machine"
    folder.mkdir()
    (folder / "pynvml.py").write_text(PYNVML)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    yield folder
    sys.modules.pop("pynvml", None)


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "autotune", *map(str, arguments)]


def _logs(run_dir: Path) -> list[str]:
    return [path.read_text() for path in sorted((run_dir / "toy" / "trials").glob("*/log.txt"))]


def _seen(study_file: Path) -> set[str]:
    return set((study_file.parent / "seen").read_text().split())


def _gpus(study: optuna.Study) -> set[str]:
    return {trial.user_attrs["gpu"] for trial in study.get_trials()}


def _accept(server: socket.socket, stack: ExitStack) -> tuple[str, socket.socket]:
    """Wait for the next trial that runs, and return the GPU it says it sees."""
    connection, _ = server.accept()
    stack.enter_context(connection).settimeout(LIMIT_S)
    return connection.recv(100).decode(), connection


def _is_running(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def test_eight_trials_at_a_time_share_four_gpus_and_none_sees_anothers(
    study_file: StudyFile, run_dir: Path, four_gpus: Path
) -> None:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        server.settimeout(LIMIT_S)
        file = study_file(WAITING.replace("{port}", str(server.getsockname()[1])), "'n_trials': 16")
        command = _command("run", file, "--run-dir", run_dir, "--workers-per-gpu", "2")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            running: list[tuple[str, socket.socket]] = []
            for _ in range(2):
                for _ in range(8):
                    running.append(_accept(server, stack))
                    running = [(gpu, connection) for gpu, connection in running if _is_running(connection)]
                    assert max(Counter(gpu for gpu, _ in running).values()) <= 2
                assert Counter(gpu for gpu, _ in running) == dict.fromkeys(UUIDS, 2)
                for _, connection in running:
                    connection.send(b"!")
            assert process.wait(LIMIT_S) == 0
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert len(study.trials) == 16
    for trial, log in zip(study.trials, _logs(run_dir), strict=True):
        line = re.fullmatch(r"slot (\d): NVIDIA H100 \((\S+)\), at most 40,000 MiB; \d+ threads?\n", log)
        assert line is not None, log
        assert line[2] == trial.user_attrs["gpu"] == UUIDS[int(line[1]) % 4]
    assert _seen(file) == {"-1", *UUIDS}
    assert (file.parent / "seen").read_text().startswith("-1\n")  # what only prepares sees no GPU


def test_a_run_goes_on_with_the_gpus_that_are_selected(study_file: StudyFile, run_dir: Path, four_gpus: Path) -> None:
    file = study_file(SEEN, "'n_trials': 3")
    study = autotune.run(file, run_dir=run_dir, gpus=[2])
    assert _gpus(study) == {UUIDS[2]}
    assert all(log.startswith(f"slot 0: NVIDIA H100 ({UUIDS[2]}); ") for log in _logs(run_dir))
    command = _command("resume", "toy", "--run-dir", run_dir, "--trials", "4", "--gpus", "GPU-b")
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert optuna.load_study(study_name="toy", storage=study._storage).trials[3].user_attrs["gpu"] == UUIDS[1]


def test_cuda_visible_devices_of_the_command_is_heeded(
    study_file: StudyFile, run_dir: Path, four_gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1,7,0")
    study = autotune.run(study_file(SEEN), run_dir=run_dir, gpus="1")
    assert _gpus(study) == {"1"}


def test_no_process_sees_a_gpu_if_none_is_wanted(study_file: StudyFile, run_dir: Path, four_gpus: Path) -> None:
    file = study_file(SEEN)
    autotune.run(file, run_dir=run_dir, gpus="none", workers=2)
    assert _seen(file) == {"-1"}
    assert all(re.fullmatch(r"slot [01]: CPU; \d+ threads?\n", log) for log in _logs(run_dir))


def test_where_no_gpu_is_found_the_variable_is_left_alone(
    study_file: StudyFile, run_dir: Path, four_gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = study_file(SEEN)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles")
    autotune.run(file, run_dir=run_dir, workers=2)
    assert _seen(file) == {"NoDevFiles"}
    assert all(log.startswith("slot ") and ": CPU; " in log for log in _logs(run_dir))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": "4"}, r"'4', but there is no such GPU[\s\S]*3: NVIDIA H100 .GPU-dddd"),
        ({"gpus": [0, 0]}, "'0' twice"),
        ({"gpus": "0,1", "workers_per_gpu": 2, "workers": 5}, "workers is 5: more than"),
        ({"gpus": "none", "workers_per_gpu": 2}, "there is no GPU to use"),
        ({"workers_per_gpu": 0}, "workers-per-gpu is 0"),
    ],
)
def test_what_the_gpus_cannot_do_is_refused_before_anything_is_made(
    study_file: StudyFile, run_dir: Path, four_gpus: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        autotune.run(study_file(SEEN), run_dir=run_dir, **options)  # type: ignore[arg-type]  # reason: made up on purpose
    assert not run_dir.exists()


def test_an_unknown_gpu_is_plain_on_the_command_line(study_file: StudyFile, four_gpus: Path) -> None:
    command = _command("run", study_file(SEEN), "--gpus", "0,9")
    done = subprocess.run(command, capture_output=True, text=True, cwd=four_gpus, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("UsageError: --gpus names '9', but there is no such GPU.\n  The visible GPUs are\n")


@pytest.mark.trains
def test_a_trial_whose_tensorflow_does_not_see_its_gpu_says_so(
    study_file: StudyFile, run_dir: Path, four_gpus: Path
) -> None:
    code = """
        import keras

        def objective(trial):
            return 0.0
    """
    autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, gpus=[0], workers=2)
    slot, *lines = _logs(run_dir)[0].splitlines()
    assert ", at most 40,000 MiB; " in slot
    assert any(line.startswith("TensorFlow cannot use this GPU") for line in lines)
