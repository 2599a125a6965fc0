"""Fixtures that every test may ask for."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
import skips
from postgres_server import NoPostgresError, PostgresServer  # scripts/postgres_server.py

Until = Callable[[Callable[[], bool]], None]
PATIENCE_S = 180  # for a machine that is very busy; nothing here waits for time to pass

# Ends with its standard input, and so with the tests, however these end.
_S3_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), sep=":", flush=True)
sys.stdin.read()
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stop-before-training", action="store_true", help="train nothing if another test has failed")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(skips)
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist
    if config.getoption("--stop-before-training") and not is_worker:
        config.pluginmanager.register(_StopBeforeTraining())


class _StopBeforeTraining:
    """Ends the tests where those that train begin, if another one has failed."""

    has_failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        trains = "trains" in report.keywords
        if trains and self.has_failed:
            pytest.exit("a test without training has failed", returncode=pytest.ExitCode.TESTS_FAILED)
        self.has_failed |= report.failed and not trains


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that train nothing, and of both with the long ones, so that in the end nobody waits for one."""

    def order(item: pytest.Item) -> tuple[bool, bool]:
        return item.get_closest_marker("trains") is not None, item.get_closest_marker("long") is None

    items.sort(key=order)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage: what is imported and collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    with _in_the_environment_of_all_tests():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    with _in_the_environment_of_all_tests():
        return (yield)


@contextmanager
def _in_the_environment_of_all_tests() -> Iterator[None]:
    """Hide which test runs: a server of trial processes is kept for runs in the same environment alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        yield


class _Collections:
    """Full collections of garbage, for which Keras asks before each network: too long ones are noticed here.

    They look through all that was imported and read since the last freeze: for seconds, after some hundred tests.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self.is_too_long = False

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] == 2 and phase == "start":
            self._began = time.process_time()
        elif info["generation"] == 2:
            self.is_too_long |= time.process_time() - self._began > 0.02


_COLLECTIONS = _Collections()
gc.callbacks.append(_COLLECTIONS)


@pytest.fixture(autouse=True)
def _short_collections() -> None:
    if _COLLECTIONS.is_too_long:
        gc.freeze()
        _COLLECTIONS.is_too_long = False


@pytest.fixture(scope="session", autouse=True)
def _records_of_study_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what has run in tests out of the home folder, here and in child processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _what_scikit_learn_sets() -> Iterator[None]:
    """Set from the beginning what scikit-learn sets when it is imported, so that servers are kept beyond that."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("KMP_DUPLICATE_LIB_OK", "True"), ("KMP_INIT_AT_FORK", "FALSE")):
            patch.setenv(name, os.environ.get(name, value))
        yield


@pytest.fixture(scope="session", autouse=True)
def _migrations_are_read_once() -> Iterator[None]:
    """Read Optuna's migrations once: else each database that a test opens reads them all, three times if it is new."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    read, scripts = ScriptDirectory.from_config, {}

    def once(config: Config) -> ScriptDirectory:
        location = config.get_main_option("script_location")
        if location not in scripts:
            scripts[location] = read(config)
        return scripts[location]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", once)
        yield


@pytest.fixture
def until() -> Until:
    """Give a function that waits for what another process does and tells nobody of."""

    def wait(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, "what was waited for did not happen"
            time.sleep(0.05)  # reason: nobody says when it has happened

    return wait


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of downloaded datasets, or skip the test where there is none."""
    beside_the_repository = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AUTOTUNE_DATA") or beside_the_repository).resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder of datasets at {folder}; name one in AUTOTUNE_DATA")
    return folder


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[str]:
    if missing := [name for name in ("boto3", "moto", "flask") if find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: pip install boto3 'moto[server]'")
    command = [sys.executable, "-c", _S3_SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield f"http://{server.stdout.readline().strip()}"
        server.stdin.close()


@pytest.fixture
def s3_environment(_s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have boto3 talk to an S3 server on this machine, here and in child processes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-id-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3_url(s3_environment: None) -> str:
    """Give the URL of a place in a new bucket."""
    import boto3

    bucket = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/prefix"


@pytest.fixture(scope="session")
def _postgres_of_the_session() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra postgres")
    try:
        server = PostgresServer()
    except NoPostgresError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def postgres(_postgres_of_the_session: PostgresServer) -> Iterator[PostgresServer]:
    """Give a running PostgreSQL, the same for all tests; it may be stopped, and runs again for the next test."""
    yield _postgres_of_the_session
    _postgres_of_the_session.start()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Give the URL of a new, empty database on a real PostgreSQL."""
    return postgres.new_database()


@pytest.fixture
def served() -> Iterator[Callable[[str], str]]:
    """Give a function that serves a storage over gRPC, in this process, and returns the proxy's URL."""
    from contextlib import ExitStack

    pytest.importorskip("grpc", reason="no gRPC: install the extra grpc")
    from autotune.running.storages.opening import open_storage
    from autotune.running.storages.serving import proxy

    with ExitStack() as stack:
        yield lambda url: stack.enter_context(proxy(open_storage(url), "127.0.0.1", 0))


_STUDY_FILE = """
import os
import signal
import sys
from pathlib import Path

import optuna

from autotune import StudySpec

HERE = Path(__file__).parent

def first_time(what):
    try:
        (HERE / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

{code}

study = StudySpec(**{{"name": "toy", "objective": objective, "direction": "minimize", "n_trials": 4, {options}}})
"""


@pytest.fixture
def no_places_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget where studies and data of this machine are."""
    for variable in ("OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Give the run dir of this test."""
    return tmp_path / "runs"


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a study file around the code of an objective."""

    def write(code: str, options: str = "", file: str = "study.py") -> Path:
        path = tmp_path / file
        path.write_text(_STUDY_FILE.format(code=dedent(code), options=options), "utf-8")
        return path

    return write
