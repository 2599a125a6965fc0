"""Named datasets, and where each comes from.

`digits` comes with scikit-learn; `mnist` and `fashion-mnist` come from a file in the data folder, else from
Keras's own loader, which keeps a cache and downloads when the network allows.
Images are float32 in [0, 1] of shape (n, height, width, 1); labels are int64, shape (n,), in [0, 9].
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.dataset import Dataset
from autotune.errors import DataError

_Part: TypeAlias = Literal["train", "test"]
_Arrays: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any]]  # images, labels
_DOWNLOAD_TIMEOUT_S = 20.0
_N_CLASSES = 10


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a named dataset is at hand.

    Args:
        name: What a study file calls it.
        present: It can be loaded without the network.
        where: Where it is, or where it was looked for.
        how_to_get: What to do when it is missing.
        description: Size and kind, in a few words.
    """

    name: str
    present: bool
    where: str
    how_to_get: str
    description: str


@dataclass(frozen=True)
class _KerasSource:
    file_name: str  # in the data folder
    module: str  # in keras.datasets
    cached: tuple[str, ...]  # in Keras's cache
    description: str


_IDX_FILES = ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
_KERAS_SOURCES = {
    "mnist": _KerasSource(
        "mnist.npz", "mnist", ("datasets/mnist.npz",), "handwritten digits, 60000 images of 28x28, 10 classes"
    ),
    "fashion-mnist": _KerasSource(
        "fashion_mnist.npz",
        "fashion_mnist",
        tuple(f"datasets/fashion-mnist/{name}-ubyte.gz" for name in _IDX_FILES),
        "pieces of clothing, 60000 images of 28x28, 10 classes",
    ),
}
_NAMES = ("digits", *_KERAS_SOURCES)


def load_development(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the rows that may be searched on: for training and validation, never for the final test.

    Args:
        name: "digits", "mnist" or "fashion-mnist".
        data_dir: Folder with mnist.npz or fashion_mnist.npz; None for Keras's own loader only.

    Returns:
        x of shape (n, h, w, 1), float32 in [0, 1]; y of shape (n,), int64 in [0, 9].

    Raises:
        DataError: The name is unknown, or the data is missing or damaged.

    Example:
        >>> load_development("digits").input_shape
        (8, 8, 1)
    """
    return _load(name, "train", data_dir)


def load_test(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the test rows. Only the room that finalizes calls this, once a study is over.

    Takes and raises what `load_development` does, and returns rows in the same form, none of them the same.
    """
    return _load(name, "test", data_dir)


def available(data_dir: Path | None) -> list[DatasetStatus]:
    """List the named datasets, without a download and without importing Keras.

    Args:
        data_dir: Folder to look in before Keras's cache, or None.

    Raises:
        DataError: `data_dir` is not a folder.
    """
    _check_folder(data_dir)
    description = "handwritten digits, 1797 images of 8x8, 10 classes"
    digits = DatasetStatus("digits", True, "embedded in scikit-learn", "Nothing to do.", description)
    return [digits, *(_status(name, source, data_dir) for name, source in _KERAS_SOURCES.items())]


def _status(name: str, source: _KerasSource, data_dir: Path | None) -> DatasetStatus:
    places = [[data_dir / source.file_name]] if data_dir else []
    places += [[_keras_home() / path for path in source.cached]]
    found = [files[0] for files in places if all(file.is_file() for file in files)]
    looked = " or ".join(str(files[0].parent) for files in places)
    where = str(found[0]) if found else f"not in {looked}"
    return DatasetStatus(name, bool(found), where, _how_to_get(source), source.description)


def _load(name: str, part: _Part, data_dir: Path | None) -> Dataset:
    if name not in _NAMES:
        raise DataError(
            f"there is no dataset called {name!r}.",
            f"The named datasets are: {', '.join(_NAMES)}.",
            "Use one of these, or give the study file a function that returns a Dataset.",
        )
    _check_folder(data_dir)
    if name == "digits":
        images, labels = _read_digits(part)
        return _dataset(name, images, 16, labels)
    source = _KERAS_SOURCES[name]
    path = data_dir / source.file_name if data_dir else None
    if path is not None and path.exists():
        where, (images, labels) = str(path), _read_npz(path, part)
    else:
        where, (images, labels) = f"Keras's copy of {name}", _read_with_keras(source, part, path)
    _check_images(where, part, images, labels)
    return _dataset(name, images, 255, labels)


def _dataset(name: str, images: npt.NDArray[Any], white: int, labels: npt.NDArray[Any]) -> Dataset:
    x = images.astype(np.float32)[..., np.newaxis]
    x /= white
    return Dataset(x, labels.astype(np.int64), name=name, n_classes=_N_CLASSES)


def _read_digits(part: _Part) -> _Arrays:
    """Read the development rows, or the test rows: every fifth row of each class, whatever the seed."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = np.asarray(bunch.images), np.asarray(bunch.target)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(_N_CLASSES):
        is_test[np.flatnonzero(labels == label)[4::5]] = True
    rows = np.flatnonzero(is_test if part == "test" else ~is_test)
    return images[rows], labels[rows]


def _read_npz(path: Path, part: _Part) -> _Arrays:
    """Read two of the four arrays; the members of an npz are read one by one, when asked for."""
    wanted = {f"{letter}_{which}" for letter in "xy" for which in ("train", "test")}
    try:
        # Opened here because NumPy leaves a torn file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            keys = set(getattr(archive, "files", ()))
            if wanted <= keys:
                return archive[f"x_{part}"], archive[f"y_{part}"]
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, f"cannot be read: {type(error).__name__}: {error}") from error
    raise _damaged(path, f"holds the arrays {sorted(keys)}")


def _read_with_keras(source: _KerasSource, part: _Part, path: Path | None) -> _Arrays:
    try:
        # Keras prints its progress on stdout, which belongs to the command's own output.
        with _socket_timeout(_DOWNLOAD_TIMEOUT_S), contextlib.redirect_stdout(sys.stderr):
            from keras import datasets

            train, test = getattr(datasets, source.module).load_data()
    # Keras raises a bare Exception when a download fails.
    except Exception as error:
        places = [*([str(path)] if path else []), f"Keras's cache {_keras_home()}", f"the network ({error})"]
        raise DataError(
            f"{source.file_name} was not found in {', '.join(places)}.",
            "It is a file with Keras's own keys x_train, y_train, x_test and y_test.",
            _how_to_get(source),
        ) from error
    images, labels = train if part == "train" else test
    return np.asarray(images), np.asarray(labels)


@contextlib.contextmanager
def _socket_timeout(timeout_s: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout_s)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _check_images(where: str, part: _Part, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28) or len(x) < 2:
        raise _damaged(where, f"has x_{part} of dtype {x.dtype} and shape {x.shape}")
    if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
        raise _damaged(where, f"has y_{part} of dtype {y.dtype} and shape {y.shape} for {len(x)} images")
    if y.min() < 0 or y.max() >= _N_CLASSES:
        raise _damaged(where, f"has labels from {y.min()} to {y.max()} in y_{part}")


def _damaged(where: str | Path, found: str) -> DataError:
    return DataError(
        f"{where} {found}.",
        "Expected an npz file with x_train and x_test, uint8 of shape (n, 28, 28) with n of at least 2, and "
        "y_train and y_test, integers from 0 to 9 of shape (n,).",
        "Copy or download the file again, or remove it to let Keras fetch its own.",
    )


def _check_folder(data_dir: Path | None) -> None:
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(
            f"the data folder {data_dir} does not exist or is not a folder.",
            "Expected a folder with files such as mnist.npz.",
            "Correct --data-dir or AUTOTUNE_DATA, or leave both out.",
        )


def _how_to_get(source: _KerasSource) -> str:
    return (
        f"Put {source.file_name} in a folder and give the folder with --data-dir or AUTOTUNE_DATA; "
        "or connect to the network once, and Keras downloads it."
    )


def _keras_home() -> Path:
    # As Keras finds it; `keras.config` would say so too, but importing Keras takes seconds.
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"
