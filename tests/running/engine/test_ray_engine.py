"""What a run takes of a Ray cluster, and what it says of clusters, storages and workers that cannot be used."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import autotune
from autotune.distribution import install_command
from autotune.errors import StudyFailedError, UsageError
from autotune.running.engine.ray_engine import Share, Worker, joined_ray, reachable_storage, share_nodes
from autotune.running.study.places import Places, ray_address

SMALL = {"CPU": 4.0, "memory": 1e9}
WITH_GPUS = {"CPU": 8.0, "GPU": 2.0}


def places(storage: str) -> Places:
    return Places(storage, Path("/runs"), None)


def test_each_cpu_of_a_cluster_is_a_worker() -> None:
    assert share_nodes([SMALL, SMALL, {"memory": 1e9}], None, 1) == Share(8, 1, 0)


def test_a_worker_with_several_cpus_has_them_on_one_node() -> None:
    assert share_nodes([SMALL, {"CPU": 3.0}], None, 3) == Share(2, 3, 0)


def test_where_there_are_gpus_each_is_a_worker() -> None:
    assert share_nodes([SMALL, WITH_GPUS, WITH_GPUS], None, 1) == Share(4, 1, 1)


def test_a_gpu_without_enough_cpus_beside_it_is_no_worker() -> None:
    assert share_nodes([WITH_GPUS, {"CPU": 4.0, "GPU": 8.0}], None, 4) == Share(3, 4, 1)


def test_the_number_of_workers_may_be_less_or_more_than_fit() -> None:
    assert share_nodes([SMALL], 2, 1).workers == 2
    assert share_nodes([SMALL], 9, 1).workers == 9


@pytest.mark.parametrize("nodes", [[], [SMALL, SMALL], [{"CPU": 4.0, "GPU": 1.0}]])
def test_a_worker_that_fits_no_node_is_refused(nodes: list[dict[str, float]]) -> None:
    with pytest.raises(UsageError, match="has 5 CPUs"):
        share_nodes(nodes, 1, 5)


def test_sqlite_is_refused_also_where_no_storage_was_named(tmp_path: Path) -> None:
    file = tmp_path / "study.py"
    file.write_text("")
    for url in (None, "sqlite:///study.db"):
        with pytest.raises(UsageError, match=r"(?s)SQLite is for one machine.*postgresql"):
            autotune.run(file, engine="ray", storage=url, run_dir=tmp_path)


def test_a_journal_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reachable_storage(places("journal:///study.log")) == f"journal:///{tmp_path}/study.log"
    assert reachable_storage(places("study.log")) == f"journal:///{tmp_path}/study.log"


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:secret@host/db", "grpc://host:13000", "no URL"])
def test_other_storages_are_left_as_they_are(url: str) -> None:
    assert reachable_storage(places(url)) == url


def test_an_engine_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'local'"):
        autotune.run(tmp_path / "study.py", engine="dask")  # type: ignore[arg-type]  # reason: the mistake to be refused


def test_cpus_for_workers_are_refused_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--engine ray"):
        autotune.run(tmp_path / "study.py", cpus_per_worker=2)


def test_an_address_is_read_from_the_environment() -> None:
    assert ray_address({"RAY_ADDRESS": "head:6379"}) == "head:6379"
    assert ray_address({"RAY_ADDRESS": ""}) is None


def test_an_address_at_which_nothing_answers_is_refused_at_once() -> None:
    pytest.importorskip("ray", reason="no Ray: install the extra ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    code = (
        "import sys\nfrom autotune.errors import UsageError\n"
        "from autotune.running.engine.ray_engine import joined_ray\n"
        "try:\n    joined_ray(sys.argv[1]).__enter__()\nexcept UsageError as error:\n    print(error)\n"
    )
    # In a process of its own: importing Ray warns.
    said = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, check=True).stdout
    assert f"the Ray cluster at {address} cannot be used: " in said
    assert "RAY_ADDRESS" in said


def test_a_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as error, joined_ray(None):
        pass
    assert error.value.fix == install_command("ray")


def test_a_worker_hands_back_what_the_user_is_to_know_as_itself() -> None:
    def work() -> None:
        raise StudyFailedError("it failed.", "It is not to.", "Mend it.")

    error = Worker().run(work, None)
    assert isinstance(error, StudyFailedError)
    assert (error.happened, error.fix) == ("it failed.", "Mend it.")
    assert socket.gethostname() in error.expected


def test_a_worker_on_a_node_that_does_not_see_the_study_file_says_so(tmp_path: Path) -> None:
    error = Worker().run(lambda: None, tmp_path / "nowhere.py")
    assert isinstance(error, UsageError)
    assert "nowhere.py on the node" in error.happened


def test_a_worker_that_is_stopped_before_it_begins_does_nothing() -> None:
    done = threading.Event()
    worker = Worker()
    worker.stop()
    assert worker.run(done.set, None) is None
    assert not done.is_set()
