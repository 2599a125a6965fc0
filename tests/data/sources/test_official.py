"""Archives: looked for in the data folder and Keras's cache, then at their official place."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from autotune.data.sources.official import Archive
from autotune.errors import DataError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive at an official place on this machine, and an empty cache."""
    source = tmp_path / "published" / "toy-1.0"
    source.mkdir(parents=True)
    (source / "data.txt").write_text("rows")
    with tarfile.open(tmp_path / "toy.tar.gz", "w:gz") as packed:
        packed.add(source, arcname="toy-1.0")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    return Archive("toy", (tmp_path / "toy.tar.gz").as_uri(), "toy-1.0", "data.txt")


def test_the_data_folder_comes_first(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "data.txt").touch()
    assert archive.get(tmp_path / "data") == archive.find(tmp_path / "data") == tmp_path / "data" / "toy"


def test_what_is_missing_is_downloaded_once_and_found_again(
    archive: Archive, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert archive.find(None) is None
    folder = archive.get(None)
    assert (folder / "data.txt").read_text() == "rows"
    assert capsys.readouterr().out == ""

    def fail(*args: Any, **options: Any) -> None:
        raise AssertionError("it is there")

    monkeypatch.setattr("keras.utils.get_file", fail)
    assert archive.get(None) == archive.find(None) == folder
    assert archive.where(None) == str(folder)


def test_without_network_it_says_where_it_looked_and_what_to_do(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "toy.tar.gz").unlink()
    with pytest.raises(DataError) as caught:
        archive.get(tmp_path / "data")
    for words in (str(tmp_path / "data"), str(tmp_path / "cache"), "toy/data.txt", archive.url, "--data-dir"):
        assert words in str(caught.value)


def test_an_archive_with_something_else_in_it_is_said(archive: Archive) -> None:
    with pytest.raises(DataError, match=r"has no toy-1\.0/other\.txt"):
        Archive("toy", archive.url, "toy-1.0", "other.txt").get(None)
