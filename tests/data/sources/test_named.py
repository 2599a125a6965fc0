"""Named datasets keep one form, keep test rows apart, and say what is missing or damaged."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.sources import available, axes_of, class_names_of, load_development, load_test
from autotune.errors import DataError

_DATA = Path(os.environ.get("AUTOTUNE_DATA") or Path(__file__).parents[4] / "shared" / "data")
FILES = {"mnist": "mnist.npz", "fashion-mnist": "fashion_mnist.npz"}
BOTH = pytest.mark.parametrize("name", FILES)


def _arrays(**changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_train": (np.arange(20) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (10, 28, 28)).astype(np.uint8),
        "y_test": np.arange(10).astype(np.uint8),
    }
    arrays.update(changes)
    return {key: array for key, array in arrays.items() if array is not None}


def _check_form(data: Dataset, side: int) -> None:
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64
    assert data.input_shape == (side, side, 1)
    assert data.n_classes == 10
    assert data.x.min() == 0
    assert data.x.max() == 1


@BOTH
@pytest.mark.parametrize(("load", "part"), [(load_development, "train"), (load_test, "test")])
def test_a_file_in_the_data_folder_is_read(tmp_path: Path, name: str, load: Callable[..., Dataset], part: str) -> None:
    arrays = _arrays()
    np.savez(tmp_path / FILES[name], **arrays)
    data = load(name, tmp_path)
    _check_form(data, 28)
    assert data.name == name
    np.testing.assert_allclose(data.x[..., 0] * 255, arrays[f"x_{part}"], rtol=1e-6)
    np.testing.assert_array_equal(data.y, arrays[f"y_{part}"])


def test_development_does_not_read_the_test_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **_arrays(x_test=np.zeros(3), y_test=np.zeros(3)))
    assert len(load_development("mnist", tmp_path)) == 20
    with pytest.raises(DataError, match="x_test"):
        load_test("mnist", tmp_path)


def test_digits_come_without_files_and_keep_a_fifth_of_each_class_for_the_test() -> None:
    development, test = load_development("digits"), load_test("digits")
    _check_form(development, 8)
    _check_form(test, 8)
    assert len(development) + len(test) == 1797
    shares = np.bincount(test.y) / (np.bincount(test.y) + np.bincount(development.y))
    assert np.abs(shares - 0.2).max() < 0.005


def test_the_same_digits_are_test_rows_every_time() -> None:
    np.random.seed(1)
    assert load_test("digits").digest == load_test("digits").digest
    # Pins the rows themselves: scores on other rows would not compare.
    assert int(load_test("digits").x.sum() * 16) == 111_152


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"y_test": None}, r"\['x_test', 'x_train', 'y_train'\]"),
        ({"x_train": np.zeros((20, 28, 28))}, "float64"),
        ({"x_train": np.zeros((20, 32, 32), np.uint8)}, r"\(20, 32, 32\)"),
        ({"x_train": np.zeros((20, 28, 28, 1), np.uint8)}, r"\(20, 28, 28, 1\)"),
        ({"x_train": np.zeros((0, 28, 28), np.uint8), "y_train": np.zeros(0, np.uint8)}, r"\(0, 28, 28\)"),
        ({"y_train": np.zeros(19, np.uint8)}, r"\(19,\) for 20 images"),
        ({"y_train": np.zeros((20, 1), np.uint8)}, r"\(20, 1\)"),
        ({"y_train": np.zeros(20)}, "float64"),
        ({"y_train": np.arange(20)}, "from 0 to 19"),
        ({"y_train": np.arange(20) - 11}, "from -11 to 8"),
        ({"y_train": np.array([None] * 20)}, "cannot be read"),
    ],
)
def test_a_file_with_other_arrays_says_what_was_found(
    tmp_path: Path, changes: dict[str, np.ndarray], found: str
) -> None:
    np.savez(tmp_path / "mnist.npz", **_arrays(**changes))
    with pytest.raises(DataError, match=found) as caught:
        load_development("mnist", tmp_path)
    assert str(tmp_path / "mnist.npz") in caught.value.happened


def _tear(file: Path) -> None:
    np.savez(file, **_arrays())
    file.write_bytes(file.read_bytes()[:5000])


def _flip_a_byte(file: Path) -> None:
    np.savez_compressed(file, **_arrays())
    content = bytearray(file.read_bytes())
    content[3000:3010] = b"\0" * 10
    file.write_bytes(content)


def _save_one_array(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


@pytest.mark.parametrize(
    "write",
    [
        _tear,
        _flip_a_byte,
        _save_one_array,
        Path.touch,
        Path.mkdir,
        lambda file: file.write_text("<html>404</html>"),
    ],
    ids=["torn", "flipped", "one array", "empty", "folder", "html"],
)
def test_a_damaged_file_is_named(tmp_path: Path, write: Callable[[Path], object]) -> None:
    file = tmp_path / "mnist.npz"
    write(file)
    with pytest.raises(DataError, match=r"mnist\.npz (cannot be read|holds the arrays \[\])"):
        load_development("mnist", tmp_path)


@BOTH
def test_without_a_file_keras_is_asked_with_a_timeout(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays, timeouts = _arrays(), []

    def load_data() -> tuple[tuple[np.ndarray, ...], ...]:
        print("Downloading")
        timeouts.append(socket.getdefaulttimeout())
        return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])

    monkeypatch.setattr(f"keras.datasets.{name.replace('-', '_')}.load_data", load_data)
    assert len(load_development(name, tmp_path)) == 20
    assert len(load_test(name)) == 10
    assert timeouts == [20.0, 20.0]
    assert socket.getdefaulttimeout() is None
    assert capsys.readouterr().out == ""


@BOTH
def test_without_file_and_network_the_error_says_where_it_looked_and_what_to_do(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_data() -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(f"keras.datasets.{name.replace('-', '_')}.load_data", load_data)
    with pytest.raises(DataError, match="URL fetch failure") as caught:
        load_development(name, tmp_path)
    assert str(tmp_path / FILES[name]) in str(caught.value)
    assert str(tmp_path / "keras") in str(caught.value)
    assert "--data-dir" in caught.value.fix
    assert "AUTOTUNE_DATA" in caught.value.fix
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("use", [lambda folder: load_development("mnist", folder), available])
def test_a_data_folder_that_does_not_exist_is_an_error(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        use(tmp_path / "nowhere")


@pytest.mark.parametrize("load", [load_development, load_test])
def test_an_unknown_name_lists_the_names_there_are(load: Callable[[str], Dataset]) -> None:
    with pytest.raises(DataError, match=r"'cifar'(.|\n)*digits, mnist, fashion-mnist"):
        load("cifar")


def test_the_listing_says_what_is_there_and_how_to_get_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "mnist.npz").touch()
    present = {status.name: status.present for status in available(tmp_path)}
    missing = {"fashion-mnist": False, "spoken-digits": False, "sentence-polarity": False}
    assert present == {"digits": True, "mnist": True, **missing}
    missing = available(None)[1]
    assert not missing.present
    assert str(tmp_path / "keras" / "datasets") in missing.where
    assert "mnist.npz" in missing.how_to_get


def test_the_listing_knows_keras_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    fashion = tmp_path / "datasets" / "fashion-mnist"
    fashion.mkdir(parents=True)
    names = [f"{part}-ubyte.gz" for part in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1")]
    for name in names:
        (fashion / name).touch()
    (tmp_path / "datasets" / "mnist.npz").touch()
    assert [status.present for status in available(None)][:3] == [True, True, False]
    (fashion / "t10k-images-idx3-ubyte.gz").touch()
    assert [status.present for status in available(None)][:3] == [True, True, True]


def test_the_listing_imports_neither_keras_nor_tensorflow() -> None:
    code = (
        "import sys; from autotune.data.sources import available; available(None);"
        "print([m for m in ('keras', 'tensorflow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not (_DATA / "mnist.npz").is_file(), reason="needs mnist.npz in the folder AUTOTUNE_DATA")
@pytest.mark.parametrize(
    ("load", "n", "pixel_sum"), [(load_development, 60000, 1567298545), (load_test, 10000, 264923200)]
)
def test_the_real_mnist_is_read_whole(load: Callable[..., Dataset], n: int, pixel_sum: int) -> None:
    data = load("mnist", _DATA)
    assert len(data) == n
    _check_form(data, 28)
    assert int(np.rint(data.x * 255).sum(dtype=np.float64)) == pixel_sum


def test_classes_are_called_by_names_where_there_are_some_and_spectrograms_have_axes() -> None:
    assert class_names_of("sentence-polarity", 2) == ("negative", "positive")
    assert class_names_of("fashion-mnist", 10)[7] == "sneaker"
    assert class_names_of("digits", 3) == class_names_of("fashion-mnist", 3) == ("0", "1", "2")
    assert "time" in (axes_of("spoken-digits") or ("",))[0]
    assert axes_of("mnist") is None
