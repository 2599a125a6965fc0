"""Image datasets: scikit-learn's digits, and MNIST and Fashion-MNIST from a file or Keras's loader.

Images are float32 in [0, 1] of shape (n, height, width, 1); labels are int64, shape (n,), in [0, 9].
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.sources.official import Part, downloading, keras_home
from autotune.errors import DataError

_Arrays: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any]]  # images, labels
_N_CLASSES = 10


@dataclass(frozen=True)
class KerasImages:
    """An image dataset that Keras has a loader for.

    Attributes:
        name: Its name in a study file.
        file_name: The file in the data folder.
        module: The module in `keras.datasets`.
        cached: The files in Keras's cache.
        description: Size and kind, in a few words.
    """

    name: str
    file_name: str
    module: str
    cached: tuple[str, ...]
    description: str
    has_test_rows: bool = True

    @property
    def how_to_get(self) -> str:
        """How to get the files when they are missing."""
        return (
            f"Put {self.file_name} in a folder and give the folder with --data-dir or AUTOTUNE_DATA; "
            "or connect to the network once, and Keras downloads it."
        )

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Tell whether the files are there, and where they are or which folders were searched."""
        places = [[data_dir / self.file_name]] if data_dir else []
        places += [[keras_home() / path for path in self.cached]]
        found = [files[0] for files in places if all(file.is_file() for file in files)]
        looked = " or ".join(str(files[0].parent) for files in places)
        return bool(found), str(found[0]) if found else f"not in {looked}"

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read the development rows ("train") or the test rows."""
        path = data_dir / self.file_name if data_dir else None
        if path is not None and path.exists():
            where, (images, labels) = str(path), _read_npz(path, part)
        else:
            where, (images, labels) = f"Keras's copy of {self.name}", self._read_with_keras(part, path)
        _check_images(where, part, images, labels)
        return _dataset(self.name, images, 255, labels)

    def _read_with_keras(self, part: Part, path: Path | None) -> _Arrays:
        try:
            with downloading():
                from keras import datasets

                train, test = getattr(datasets, self.module).load_data()
        # Keras raises a bare Exception when a download fails.
        except Exception as error:
            places = [*([str(path)] if path else []), f"Keras's cache {keras_home()}", f"the network ({error})"]
            raise DataError(
                f"{self.file_name} was not found in {', '.join(places)}.",
                "Expected a file with Keras's keys x_train, y_train, x_test and y_test.",
                self.how_to_get,
            ) from error
        images, labels = train if part == "train" else test
        return np.asarray(images), np.asarray(labels)


@dataclass(frozen=True)
class Digits:
    """The digits that come with scikit-learn."""

    name: str = "digits"
    description: str = "handwritten digits, 1797 images of 8x8, 10 classes"
    how_to_get: str = "Nothing to do."
    has_test_rows: bool = True

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Tell that the rows are there: scikit-learn brings them."""
        return True, "embedded in scikit-learn"

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read the development rows ("train") or the test rows."""
        images, labels = _read_digits(part)
        return _dataset(self.name, images, 16, labels)


CLOTHES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
"""The classes of Fashion-MNIST."""
_IDX_FILES = ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
IMAGES = (
    Digits(),
    KerasImages(
        "mnist",
        "mnist.npz",
        "mnist",
        ("datasets/mnist.npz",),
        "handwritten digits, 60000 images of 28x28, 10 classes",
    ),
    KerasImages(
        "fashion-mnist",
        "fashion_mnist.npz",
        "fashion_mnist",
        tuple(f"datasets/fashion-mnist/{name}-ubyte.gz" for name in _IDX_FILES),
        "pieces of clothing, 60000 images of 28x28, 10 classes",
    ),
)


def _dataset(name: str, images: npt.NDArray[Any], white: int, labels: npt.NDArray[Any]) -> Dataset:
    x = images.astype(np.float32)[..., np.newaxis]
    x /= white
    return Dataset(x, labels.astype(np.int64), name=name, n_classes=_N_CLASSES)


def _read_digits(part: Part) -> _Arrays:
    """Read the development rows, or the test rows: every fifth row of each class, whatever the seed."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = np.asarray(bunch.images), np.asarray(bunch.target)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(_N_CLASSES):
        is_test[np.flatnonzero(labels == label)[4::5]] = True
    rows = np.flatnonzero(is_test if part == "test" else ~is_test)
    return images[rows], labels[rows]


def _read_npz(path: Path, part: Part) -> _Arrays:
    """Read two of the four arrays; NumPy reads each member of an npz only when it is indexed."""
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


def _check_images(where: str, part: Part, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
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
