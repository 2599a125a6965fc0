"""One file in an artifact store: written, read and removed under its name, in a bucket as in a folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from autotune.distribution import install_command
from autotune.errors import StorageError, UsageError
from autotune.training.checkpoints.artifacts import Artifact, check_store, client_modules, reason, store_url


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("s3_url") if request.param == "s3" else tmp_path / "artifacts")


def bucket_of(url: str) -> list[str]:
    """List the names in the bucket of `url`."""
    import boto3

    listed = boto3.client("s3").list_objects_v2(Bucket=url.split("/")[2])
    return [item["Key"] for item in listed.get("Contents", [])]


def test_what_is_written_is_read_until_it_is_removed(url: str) -> None:
    artifact = Artifact(f"{url}/study/1", "00012.checkpoint")
    assert artifact.read() is None
    for content in (b"one", b"two" * 5_000_000):  # a bucket takes the second in several parts
        artifact.write(io.BytesIO(content))
        assert artifact.read() == content
    artifact.remove()
    assert artifact.read() is None
    artifact.remove()


def test_neighbours_do_not_disturb_each_other(url: str) -> None:
    artifacts = [Artifact(f"{url}/{study}", name) for study in ("a", "a b", "ä") for name in ("1", "11")]
    for artifact in artifacts:
        artifact.write(io.BytesIO(str(artifact).encode()))
    artifacts[0].remove()
    assert artifacts[0].read() is None
    assert all(artifact.read() == str(artifact).encode() for artifact in artifacts[1:])


def test_the_names_in_a_bucket_begin_with_the_prefix(s3_url: str) -> None:
    Artifact(f"{s3_url}/study", "00001.checkpoint").write(io.BytesIO(b"1"))
    assert bucket_of(s3_url) == ["some/prefix/study/00001.checkpoint"]


def test_a_writer_that_dies_leaves_the_old_file_in_a_folder(tmp_path: Path) -> None:
    class Torn(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionError

    artifact = Artifact(str(tmp_path), "name")
    artifact.write(io.BytesIO(b"old"))
    with pytest.raises(ConnectionError):
        artifact.write(Torn())
    assert artifact.read() == b"old"
    assert os.listdir(tmp_path) == ["name"]


def test_many_threads_may_use_a_bucket_at_once(s3_url: str) -> None:
    artifacts = [Artifact(s3_url, str(number)) for number in range(8)]
    threads = [threading.Thread(target=a.write, args=(io.BytesIO(a.name.encode()),)) for a in artifacts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [artifact.read() for artifact in artifacts] == [artifact.name.encode() for artifact in artifacts]


def test_a_store_that_can_be_used_is_left_as_it_was(url: str) -> None:
    check_store(url)
    if url.startswith("s3"):
        assert bucket_of(url) == []
    else:
        assert os.listdir(url) == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3://my-bucket", "s3://my-bucket"),
        ("s3://my.bucket/a/b/", "s3://my.bucket/a/b"),
        ("gs://my_bucket/a", "gs://my_bucket/a"),
        ("file:///data/a%20b/", "/data/a b"),
        ("/data/x/", "/data/x"),
        ("some/folder", f"{os.getcwd()}/some/folder"),
    ],
)
def test_a_store_is_remembered_by_one_url(given: str, meant: str) -> None:
    assert store_url(given) == meant == store_url(meant)


@pytest.mark.parametrize(
    "given", ["ftp://host/x", "s3://", "s3:///x", "gs://x y/z", "file://host/x", "http://s3.aws/x", "S3://bucket/x"]
)
def test_a_url_of_an_unknown_kind_is_refused_with_those_there_are(given: str) -> None:
    with pytest.raises(UsageError, match="s3://BUCKET/PREFIX") as caught:
        store_url(given)
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize(
    "given", ["s3://KEY:SECRET@bucket/x", "s3://KEY:SECRET/x", "ftp://KEY:SECRET@host", "s3://b?SECRET"]
)
def test_a_url_with_keys_in_it_is_refused_and_not_shown(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        store_url(given)
    assert "SECRET" not in str(caught.value)
    assert "KEY" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_a_usage_error(s3_environment: None) -> None:
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/x cannot be used: NoSuchBucket") as caught:
        check_store("s3://no-such-bucket/x")
    assert "of-the-tests" not in str(caught.value)


def test_a_bucket_without_credentials_is_a_usage_error(
    s3_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(StorageError, match="NoCredentialsError"):
        check_store("s3://bucket-without-credentials/x")


def test_a_server_that_is_not_there_is_a_usage_error(s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:of-the-tests@127.0.0.1:9")
    with pytest.raises(StorageError, match=r"cannot be used: \w+Error") as caught:
        check_store("s3://bucket-of-nobody/x")
    assert "of-the-tests" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        check_store(str(tmp_path / "file" / "x"))


@pytest.mark.parametrize(("url", "package", "extra"), [("s3://b1", "boto3", "s3"), ("gs://b1", "google.cloud", "gcs")])
def test_a_missing_package_is_a_usage_error_that_names_it(url: str, package: str, extra: str) -> None:
    code = f"""
import sys
sys.modules.update({{name: None for name in ("boto3", "google.cloud.storage")}})
from autotune.training.checkpoints.artifacts import check_store
try:
    check_store("{url}")
except Exception as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("StorageError")
    assert install_command(extra) in said
    assert package.replace(".", "-") in said


class Buckets:
    """What Optuna's store asks of Google's client, in memory."""

    class NotFound(Exception):
        pass

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def bucket(self, name: str) -> Buckets:
        return self

    def blob(self, name: str) -> Any:
        class Blob:
            upload_from_string = staticmethod(lambda data: self.kept.__setitem__(name, data))
            download_as_bytes = staticmethod(lambda: self.kept[name])

        return Blob

    def get_blob(self, name: str) -> Any:
        return self.blob(name) if name in self.kept else None

    def delete_blob(self, name: str) -> None:
        if self.kept.pop(name, None) is None:
            raise self.NotFound


def test_a_bucket_of_googles_is_used_through_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = Buckets()
    storage = ModuleType("google.cloud.storage")
    vars(storage)["Client"] = lambda: buckets
    google, cloud = ModuleType("google"), ModuleType("google.cloud")
    vars(google)["cloud"], vars(cloud)["storage"] = cloud, storage
    import optuna.artifacts._gcs as optunas

    monkeypatch.setattr(optunas, "google", google, raising=False)
    monkeypatch.setattr(optunas._imports, "_deferred", None)
    check_store("gs://my-bucket/prefix")
    assert buckets.kept == {}
    artifact = Artifact("gs://my-bucket/prefix/study", "name")
    artifact.remove()
    artifact.write(io.BytesIO(b"1"))
    assert artifact.read() == b"1"
    assert list(buckets.kept) == ["prefix/study/name"]


def test_a_reason_is_a_word_without_secrets() -> None:
    class ClientError(Exception):
        response: ClassVar = {"Error": {"Code": "InvalidAccessKeyId", "AWSAccessKeyId": "SECRET"}}

    assert reason(ClientError("SECRET")) == "InvalidAccessKeyId"
    assert reason(ValueError("SECRET")) == "ValueError"
    assert reason(PermissionError(13, "Permission denied", "SECRET")) == "Permission denied"


def test_only_s3_has_a_client_that_is_worth_importing_early() -> None:
    assert client_modules("s3://bucket") == ("boto3",)
    assert client_modules("/folder") == client_modules("none") == client_modules(None) == ()
