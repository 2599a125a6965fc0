"""Slots on the nodes of a Ray cluster. Ray places them, and restarts them on another node if their node dies.

Each slot is a Ray actor that works like `autotune run` with one slot. The storage says which actor runs which trial, so
Ray knows nothing of trials. If a node dies, its trial waits after the lease of its actor has ended, and another actor
continues it.

Covered: nodes that die; nodes that join, if more slots were requested than fitted. Not covered: code that is not
installed on the nodes; study files that nodes cannot read; the death of the cluster's head, which ends the command (run
it again).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from autotune.distribution import install_command
from autotune.errors import AutotuneError, StudyFailedError, UsageError
from autotune.running.processes import interrupt_runs
from autotune.running.storages import parse_url, storage_file
from autotune.running.study import Places

_POLL_S = 0.5
_STOP_S = 8.0  # a worker that is told to stop takes seven seconds at most
_CONNECT_S = 10.0
_OBJECT_STORE_BYTES = 80 * 2**20  # about the least that Ray allows; nothing of ours is in it

Work = Callable[[], object]


@dataclass(frozen=True)
class Share:
    """The part of a cluster that a run uses.

    Attributes:
        workers: How many workers.
        cpus: Ray's CPUs for each.
        gpus: Ray's GPUs for each: 1 or 0.
    """

    workers: int
    cpus: int
    gpus: int


class Worker:
    """A Ray actor with one slot. `stop` can be called while `run` works."""

    def __init__(self) -> None:
        self._is_stopped = False

    def run(self, work: Work, study_file: Path | None) -> AutotuneError | None:
        """Work until the study is complete or `stop` is called.

        Returns:
            The user's mistake, or why the study failed, for the driver to raise; else None.
        """
        host = socket.gethostname()
        try:
            if study_file is not None and not study_file.exists():
                raise UsageError(
                    f"there is no {study_file} on the node {host}.",
                    "Ray's nodes see the study file and the data by the same paths as this machine.",
                    "Put them, and the run dir, on a file system that all nodes share.",
                )
            if not self._is_stopped:
                work()
        except KeyboardInterrupt:
            return None
        except AutotuneError as error:
            return type(error)(error.happened, f"{error.expected}\n(on the node {host})", error.fix)
        return None

    def stop(self) -> None:
        """End `run` soon; its trial waits. Call this until `run` has returned: it may not have started yet."""
        self._is_stopped = True
        interrupt_runs()


def reachable_storage(places: Places) -> str:
    """Return the URL under which other machines reach a storage.

    Raises:
        UsageError: If they cannot.
    """
    try:
        url = parse_url(places.storage)
    except sqlalchemy.exc.ArgumentError:
        return places.storage  # opening it says what is wrong with it
    if url.get_backend_name() == "sqlite":
        raise UsageError(
            f"the storage {places.shown_storage()} cannot be used by the nodes of a Ray cluster.",
            "SQLite is for one machine: over a network its locks do not work, and files get damaged.",
            "Name a storage that all nodes reach with --storage or OPTUNA_STORAGE: postgresql+psycopg://USER@HOST/DB, "
            "grpc://HOST:PORT (`autotune serve`), or journal:////SHARED/FOLDER/study.log on a shared file system.",
        )
    file = storage_file(url)
    return places.storage if file is None else url.set(database=str(file)).render_as_string(hide_password=False)


@contextlib.contextmanager
def joined_ray(address: str | None) -> Iterator[Any]:
    """Give the module `ray`, connected to a cluster.

    A connection that is there already, say in a notebook, is used and left as it is.

    Args:
        address: Where the cluster is; None to start one on this machine, for the time of the block.

    Raises:
        UsageError: If Ray is not installed, or there is no cluster at the address.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield ray
        return
    is_local = address in (None, "local")
    where = {**_LOCAL, "address": "local"} if is_local else {"address": address}
    try:
        if address is not None:
            _refuse_silence(address)
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise UsageError(
            f"the Ray cluster at {'this machine' if is_local else address} cannot be used: {_first_line(error)}",
            "RAY_ADDRESS names a running cluster, e.g. HOST:6379, or auto for the one that this machine is part of; "
            "without it, one is started here.",
            "Correct or unset RAY_ADDRESS, and compare the versions of Ray and Python here and there (ray status).",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


_LOCAL = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}


def _refuse_silence(address: str) -> None:
    """Raise an OSError if nothing answers at HOST:PORT. Ray itself would retry for many minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()


def share_cluster(ray: Any, workers: int | None, cpus_per_worker: int) -> Share:
    """Decide how many slots run on the cluster.

    Args:
        ray: The module, connected.
        workers: How many; None for as many as there are GPUs, without any GPU for as many as the CPUs allow.
        cpus_per_worker: Ray's CPUs for each.

    Raises:
        UsageError: If no node is large enough for a worker.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return share_nodes(nodes, workers, cpus_per_worker)


def share_nodes(nodes: Sequence[Mapping[str, float]], workers: int | None, cpus_per_worker: int) -> Share:
    """Decide it from the resources of each node."""
    needs_gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
    fitting = [int(node.get("CPU", 0)) // cpus_per_worker for node in nodes]
    if needs_gpu:
        fitting = [min(fit, int(node.get("GPU", 0))) for fit, node in zip(fitting, nodes, strict=True)]
    if not sum(fitting):
        there = [f"{int(node.get('CPU', 0))} CPUs and {int(node.get('GPU', 0))} GPUs" for node in nodes]
        beside = " beside a GPU" if needs_gpu else ""
        raise UsageError(
            f"no node of the Ray cluster has {cpus_per_worker} CPUs{beside} for a worker.",
            "\n".join(["Its nodes have", *there] if there else ["It has no nodes."]),
            "Choose a smaller --cpus-per-worker, or start nodes with more CPUs (ray start --num-cpus).",
        )
    return Share(workers or sum(fitting), cpus_per_worker, 1 if needs_gpu else 0)


def work_on(ray: Any, share: Share, work: Work, study_file: Path | None, stopping: threading.Event) -> None:
    """Run the actors until the study is complete or `stopping` is set.

    Args:
        ray: The module, connected.
        share: How many workers, and what each has.
        work: What each does, in a process of its own, again if its node has died. Raises KeyboardInterrupt when it is
            interrupted.
        study_file: What all nodes have to see; None for nothing.
        stopping: Set to end all workers.

    Raises:
        AutotuneError: What a worker raised; all others are stopped first.
    """
    actor = ray.remote(Worker).options(
        num_cpus=share.cpus,
        num_gpus=share.gpus,
        max_concurrency=2,  # so that `stop` can be called while `run` works
        max_restarts=-1,
        max_task_retries=-1,  # of calls whose node has died; an error of ours is no reason to call again
        scheduling_strategy="SPREAD",
    )
    actors = [actor.remote() for _ in range(share.workers)]
    at_work = {actor.run.remote(work, study_file): actor for actor in actors}
    try:
        _await(ray, at_work, stopping)
    finally:
        for actor in at_work.values():  # on nodes that are gone, or deaf
            ray.kill(actor)


def _await(ray: Any, at_work: dict[Any, Any], stopping: threading.Event) -> None:
    """Wait for all actors. After the first has ended, the others get little more time."""
    give_up: float | None = None
    errors: list[Exception] = []
    while at_work and (give_up is None or time.monotonic() < give_up):
        done, _ = ray.wait(list(at_work), timeout=_POLL_S)
        for result in done:
            at_work.pop(result)
            errors += _errors_of(ray, result)
        # A worker ends when the study is complete, when it is told to, or when nobody should go on.
        if done or stopping.is_set():
            give_up = give_up or time.monotonic() + _STOP_S
        if give_up is not None:
            for actor in at_work.values():
                actor.stop.options(max_task_retries=0).remote()
    if errors:
        raise errors[0]


def _errors_of(ray: Any, result: Any) -> list[Exception]:
    try:
        said: AutotuneError | None = ray.get(result)
    except ray.exceptions.RayTaskError as error:
        return [error]  # a mistake of ours: with its traceback
    except ray.exceptions.RayError as error:
        return [_cannot_work(error)]
    return [] if said is None else [said]


def _cannot_work(error: Exception) -> AutotuneError:
    if "No module named" in str(error):
        line = next(line for line in str(error).splitlines() if "No module named" in line)
        return UsageError(
            f"a worker on a Ray node cannot start: {line.strip()}.",
            "All nodes have autotune and what the study imports, in the same versions as this machine.",
            "Install them on every node, in the environment that `ray start` is run in.",
        )
    return StudyFailedError(
        f"a worker on a Ray node has ended for good: {_first_line(error)}",
        "Ray starts workers anew whose node or process has died.",
        "Look into Ray's logs (/tmp/ray/session_latest/logs on its nodes), and run the same command again.",
    )


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")  # not a statement: mypy would read all of Ray
    except ImportError as error:
        raise UsageError(
            "the engine 'ray' needs Ray, which is not installed here.",
            "Ray is an extra of autotune's.",
            install_command("ray"),
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
