"""Artifact stores, opened by URL: folders and buckets that several machines share.

A URL is `s3://BUCKET/PREFIX` (boto3), `gs://BUCKET/PREFIX` (google-cloud-storage), or a folder that all machines see:
its path or `file:///PATH`. Those packages find credentials and endpoints themselves; a URL never contains them.
Functions import Optuna's stores when they need them, because that import also imports boto3 if it is installed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import re
import shutil
import stat
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote

from autotune.distribution import install_command
from autotune.errors import StorageError, UsageError

NOWHERE = "none"  # given in place of a URL to stop using an artifact store
_CONNECT_S = 5
_T = TypeVar("_T")
_ATTEMPTS = 3  # a copy that still fails is tried again after the next epoch
_KINDS = "Known are s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER and the plain path of a folder."


class ArtifactStore(Protocol):
    """The interface of Optuna's artifact stores."""

    def open_reader(self, artifact_id: str) -> BinaryIO: ...

    def write(self, artifact_id: str, content_body: BinaryIO) -> None: ...

    def remove(self, artifact_id: str) -> None: ...


@dataclass(frozen=True)
class Artifact:
    """One file in an artifact store, under a fixed name.

    Its methods raise the errors of the store's client if the store cannot be reached or refuses access.

    Args:
        url: The store's URL.
        name: The file's name below it.
    """

    url: str
    name: str

    def __str__(self) -> str:
        return f"{self.url}/{self.name}"

    def write(self, content: BinaryIO) -> None:
        """Write `content` to the file, replacing an older one. May close `content`."""
        open_store(self.url).write(self.name, content)

    def read(self) -> bytes | None:
        """Return the content of the file; None if there is no file."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        try:
            with contextlib.closing(open_store(self.url).open_reader(self.name)) as content:
                return content.read()
        except ArtifactNotFound:
            return None

    def remove(self) -> None:
        """Delete the file, if there is one."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        with contextlib.suppress(ArtifactNotFound):
            open_store(self.url).remove(self.name)


def store_url(given: str) -> str:
    """Return the URL or the path of a store in its stored form: absolute, without a slash at the end.

    Raises:
        UsageError: If its scheme is unknown or its bucket has no valid name.
    """
    scheme, _, rest = given.rpartition("://")
    if not scheme:
        return os.path.abspath(given)
    if scheme == "file" and rest.startswith("/"):
        return os.path.abspath(unquote(rest))
    bucket = rest.partition("/")[0]
    if scheme in _STORES and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        return given.rstrip("/")
    # The URL may contain keys, which must not be printed.
    shown = "that was given" if set("@:?") & set(rest) else repr(given)
    raise UsageError(f"the artifact store {shown} cannot be used.", _KINDS, "Correct --artifacts.")


def check_store(url: str) -> None:
    """Check that files in the store at `url` can be written, read and removed.

    Args:
        url: A URL from `store_url`.

    Raises:
        StorageError: If they cannot, or if the store's package is not installed. The message has no credentials.
    """
    probe = Artifact(url, f"probe-{uuid.uuid4().hex}")
    try:
        probe.write(io.BytesIO(b"0"))
        probe.read()
        probe.remove()
    except ImportError as error:
        package, extra = _PACKAGES[url.partition("://")[0]]
        raise StorageError(
            f"the artifact store {url} needs the package {package}, which is not installed.",
            _KINDS,
            f"Install it: {install_command(extra)}",
        ) from error
    except Exception as error:
        raise StorageError(
            f"the artifact store {url} cannot be used: {reason(error)}.",
            "It must exist, and allow files to be written, read and removed. Credentials and endpoints of buckets\n"
            "come from their package's own environment variables and files: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
            "AWS_ENDPOINT_URL; GOOGLE_APPLICATION_CREDENTIALS.",
            "Create the bucket or the folder, check its permissions, or correct --artifacts.",
        ) from error


def reason(error: Exception) -> str:
    """Return the reason of an error of a store's client as a code or class name, which contains no secrets."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return str(response["Error"].get("Code", type(error).__name__))
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def client_modules(url: str | None) -> tuple[str, ...]:
    """Return the modules that the fork server should import for trial processes that use the store at `url`."""
    return ("boto3",) if url is not None and url.startswith("s3://") else ()


class FolderStore:
    """Optuna's artifact store in a folder, which also allows slashes in names and writes each file in one step.

    Args:
        folder: The folder; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        from optuna.artifacts import FileSystemArtifactStore

        self._folder = folder
        self._store = FileSystemArtifactStore(folder)
        self.open_reader = self._store.open_reader
        self.remove = self._store.remove

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        beside = f"{artifact_id}.{uuid.uuid4().hex}.tmp"
        (self._folder / artifact_id).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._store.write(beside, content_body)
            os.replace(self._folder / beside, self._folder / artifact_id)
        finally:
            (self._folder / beside).unlink(missing_ok=True)


class FolderBelow:
    """An artifact store in a folder below another one; links are not followed and no name leads out of the folder.

    Args:
        root: A trusted folder; its path may contain links.
        parts: The names of the folders below it; they are created by the first write.
    """

    def __init__(self, root: Path, *parts: str) -> None:
        self._root = root
        self._parts = parts

    def open_reader(self, artifact_id: str) -> BinaryIO:
        with self._opened() as folder:  # O_NONBLOCK: if a pipe has the file's name, opening it must not wait
            descriptor = os.open(_plain(artifact_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
            if file is None:
                os.close(descriptor)
                raise FileNotFoundError(errno.ENOENT, "no file", artifact_id)
            return file

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        beside = f"{uuid.uuid4().hex}.tmp"
        with self._opened(make=True) as folder:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    shutil.copyfileobj(content_body, file)
                os.replace(beside, _plain(artifact_id), src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(beside, dir_fd=folder)
                raise

    def remove(self, artifact_id: str) -> None:
        with self._opened() as folder:
            os.unlink(_plain(artifact_id), dir_fd=folder)

    @contextlib.contextmanager
    def _opened(self, make: bool = False) -> Iterator[int]:
        """Yield the folder's descriptor; raise ArtifactNotFound if a folder is missing or a link."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        with contextlib.ExitStack() as stack:
            try:
                folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, folder)
                for part in map(_plain, self._parts):
                    if make:
                        with contextlib.suppress(FileExistsError):
                            os.mkdir(part, dir_fd=folder)
                    folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                    stack.callback(os.close, folder)
                yield folder
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                    raise
                raise ArtifactNotFound(f"there is no such file below {self._root}") from error


def _plain(name: str) -> str:
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise FileNotFoundError(errno.ENOENT, "no name of a file", name)
    return name


class BucketStore:
    """An artifact store in a bucket, whose files have a common prefix.

    Args:
        store: Optuna's store for the bucket.
        prefix: The prefix, with its slash.
    """

    def __init__(self, store: ArtifactStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def open_reader(self, artifact_id: str) -> BinaryIO:
        with _missing_as_optunas():
            return self._store.open_reader(self._prefix + artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._store.write(self._prefix + artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        with _missing_as_optunas():
            self._store.remove(self._prefix + artifact_id)


class StoresInTurn:
    """Several artifact stores as one: it writes to the first, and reads and removes in the first that has the file.

    Args:
        stores: The stores, at least one.
    """

    def __init__(self, *stores: ArtifactStore) -> None:
        self._stores = stores

    def open_reader(self, artifact_id: str) -> BinaryIO:
        return self._first_found(lambda store: store.open_reader(artifact_id))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._stores[0].write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        self._first_found(lambda store: store.remove(artifact_id))

    def _first_found(self, act: Callable[[ArtifactStore], _T]) -> _T:
        from optuna.artifacts.exceptions import ArtifactNotFound

        for store in self._stores[:-1]:
            with contextlib.suppress(ArtifactNotFound):
                return act(store)
        return act(self._stores[-1])


def open_store(url: str) -> ArtifactStore:
    """Return the store at `url`, a URL from `store_url`.

    Names in it may contain slashes. Reading or removing a missing file raises ArtifactNotFound.

    Raises:
        ImportError: If its package is not installed.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return FolderStore(Path(url))
    bucket, _, prefix = rest.partition("/")
    return BucketStore(_open_bucket(scheme, bucket), f"{prefix}/" if prefix else "")


@contextlib.contextmanager
def _missing_as_optunas() -> Iterator[None]:
    from optuna.artifacts.exceptions import ArtifactNotFound

    try:
        yield
    except Exception as error:
        if type(error).__name__ == "NotFound":  # Google's error, which Optuna's store does not translate
            raise ArtifactNotFound("not found") from error
        raise


@functools.cache
def _open_bucket(scheme: str, bucket: str) -> ArtifactStore:
    return _STORES[scheme](bucket)


def _s3_store(bucket: str) -> ArtifactStore:
    import boto3
    from botocore.config import Config
    from optuna.artifacts import Boto3ArtifactStore

    patience = Config(connect_timeout=_CONNECT_S, retries={"total_max_attempts": _ATTEMPTS})
    # A new session, because threads must not create their first client from the default session at the same time.
    client = boto3.session.Session().client("s3", config=patience)
    return Boto3ArtifactStore(bucket, client, avoid_buf_copy=True)


def _gcs_store(bucket: str) -> ArtifactStore:
    from optuna.artifacts import GCSArtifactStore
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna has had this store since 2023
        return GCSArtifactStore(bucket)


_STORES: dict[str, Callable[[str], ArtifactStore]] = {"s3": _s3_store, "gs": _gcs_store}
_PACKAGES = {"s3": ("boto3", "s3"), "gs": ("google-cloud-storage", "gcs")}
