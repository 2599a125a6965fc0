"""The recipes for clusters: what they run is a command that exists, and what can be run here is run."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autotune.running.storages.opening import open_storage

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SHELL = ["slurm_array.sh", "ssh_workers.sh"]
Until = Callable[[Callable[[], bool]], None]
STUDY = """
import os
import time
from pathlib import Path

from autotune import StudySpec

HERE = Path(__file__).parent


def objective(trial):
    trial.set_user_attr("host", os.environ["FAKE_HOST"])
    (HERE / os.environ["FAKE_HOST"]).touch()
    while not (HERE / "a").exists() or not (HERE / "b").exists() or (HERE / "wait").exists():
        time.sleep(0.02)  # reason: a file tells nobody that it is there now
    return trial.suggest_float("x", -1.0, 1.0) ** 2


study = StudySpec(name="toy", objective=objective, direction="minimize", n_trials=5, seed=0)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a folder as on a cluster: a study, and an environment with this `autotune`."""
    folder = tmp_path / "a folder"
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (folder / "study.py").write_text(STUDY)
    _write_command(binaries / "autotune", f'exec {shlex.quote(sys.executable)} -m autotune "$@"')
    # A host is a process that does not inherit our variables, and whose login shell gets the command as one string.
    _write_command(binaries / "ssh", 'export FAKE_HOST="$1"; shift; unset OPTUNA_STORAGE; exec sh -c "$*"')
    return folder


def _write_command(path: Path, code: str) -> None:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)


def _start(place: Path, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    path = f"{place / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", str(SCRIPTS / script), *arguments],
        cwd=place,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(SCRIPTS.parent), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _trials(url: str) -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(url)
    try:
        return optuna.load_study(study_name="toy", storage=storage).get_trials()
    finally:
        storage.remove_session()


@pytest.mark.parametrize("script", SHELL)
def test_the_shell_recipes_are_sound(script: str) -> None:
    subprocess.run(["bash", "-n", str(SCRIPTS / script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(SCRIPTS / script)], check=True)


@pytest.mark.parametrize("script", SHELL)
def test_a_recipe_without_a_storage_says_what_to_do(place: Path, script: str) -> None:
    process = _start(place, script, "a b", "study.py", OPTUNA_STORAGE="", SLURM_SUBMIT_DIR=str(place))
    output = process.communicate()[0]
    assert process.returncode == 1
    assert "OPTUNA_STORAGE: export it" in output


def test_hosts_by_ssh_share_a_study_and_keep_its_budget(place: Path) -> None:
    url = f"journal:///{place / 'study.log'}"
    options = ["study.py", "--workers", "1", "--name", "toy", "--run-dir", "runs of 'ours'"]
    process = _start(place, "ssh_workers.sh", "a b", *options, OPTUNA_STORAGE=url)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    trials = _trials(url)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    assert {trial.user_attrs["host"] for trial in trials} == {"a", "b"}
    assert (place / "runs of 'ours'" / "toy").is_dir()


def test_a_signal_to_the_ssh_recipe_stops_its_hosts_and_their_trials_wait(place: Path, until: Until) -> None:
    url = f"journal:///{place / 'study.log'}"
    (place / "wait").touch()
    process = _start(place, "ssh_workers.sh", "a b", "study.py", "--workers", "1", OPTUNA_STORAGE=url)
    until(lambda: (place / "a").exists() and (place / "b").exists())
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[0]
    assert process.returncode == 130, output
    assert [trial.state for trial in _trials(url)] == [TrialState.WAITING] * 2


def test_a_mistake_is_the_exit_code_of_the_ssh_recipe(place: Path) -> None:
    process = _start(place, "ssh_workers.sh", "a b", "nowhere.py", OPTUNA_STORAGE="journal:///study.log")
    assert "nowhere.py" in process.communicate()[0]
    assert process.returncode == 2


def test_a_task_of_slurm_runs_the_study_where_it_was_submitted(place: Path, tmp_path: Path) -> None:
    for host in ("a", "b"):
        (place / host).touch()
    spool = tmp_path / "spool"  # Slurm runs a copy
    spool.mkdir()
    shutil.copy(SCRIPTS / "slurm_array.sh", spool / "slurm_script")
    process = _start(
        place,
        str(spool / "slurm_script"),
        *("study.py", "--workers", "1"),
        OPTUNA_STORAGE="journal:///study.log",
        SLURM_SUBMIT_DIR=str(place),
        FAKE_HOST="node",
    )
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert len(_trials(f"journal:///{place / 'study.log'}")) == 5


def test_the_slurm_recipe_passes_signals_on_to_the_command() -> None:
    text = (SCRIPTS / "slurm_array.sh").read_text()
    directives = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert "--signal=B:TERM@60" in directives
    assert "exec autotune run" in text  # `B:` is for the shell itself, which is the command then


def _job() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="no YAML parser: it comes with the extra ray")
    job: dict[str, Any] = yaml.safe_load((SCRIPTS / "kubernetes_job.yaml").read_text())
    return job


def test_the_kubernetes_job_runs_a_command_that_exists() -> None:
    (container,) = _job()["spec"]["template"]["spec"]["containers"]
    program, *arguments = container["command"]
    assert program == "autotune"
    command = [sys.executable, "-m", "autotune", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPTS.parent).stderr
    assert said.startswith("StudyFileError"), said  # its file is not here, but all options were understood
    assert "/study/study.py" in said
    assert arguments[-2:] == ["--workers", container["resources"]["requests"]["cpu"]]


def test_the_kubernetes_job_takes_its_password_from_a_secret_and_mounts_what_it_uses() -> None:
    pod = _job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (variable,) = container["env"]
    assert variable["name"] == "OPTUNA_STORAGE"
    assert "secretKeyRef" in variable["valueFrom"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {"/study", "/runs"} == {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_kubernetes_job_gives_pods_time_to_end_and_ends_with_a_mistake() -> None:
    spec = _job()["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # else there is no failure policy
    actions = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}
    assert actions["FailJob"]["onExitCodes"]["values"] == [1, 2]
