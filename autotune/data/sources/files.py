"""Images and recordings in folders, one folder for each class, as sources of rows.

TensorFlow decodes them, in the process that reads the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from autotune.data.rows import Dataset
from autotune.errors import DataError

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_RECORDINGS = (".wav",)


def images_in(
    folder: str | Path,
    size: tuple[int, int],
    *,
    channels: int = 3,
    cache: bool = True,
    version: str | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the images in a folder that has a folder for each class, as `keras.utils.image_dataset_from_directory`.

    Args:
        folder: The folder. Classes are numbered in the order of the names of the folders in it.
        size: Height and width to which each image is resized.
        channels: 1 for grey, 3 for colours, 4 with transparency.
        cache: As in `Dataset`: whether images are decoded once, into files.
        version: As in `Dataset`.
        name: The name of the data in reports; None for the name of the folder.

    Returns:
        x of shape (n, height, width, channels), uint8; y of shape (n,), the classes; the classes as strata.

    Raises:
        DataError: The folder has no images, or one cannot be decoded.
    """
    if len(size) != 2 or min(size) < 1 or channels not in (1, 3, 4):
        raise DataError(
            f"size is {size!r} and channels is {channels!r}.",
            "size is the height and width of all images; channels is 1, 3 or 4.",
            "Write, for example, images_in(folder, size=(128, 128)).",
        )
    files, labels = _files_by_class(Path(folder), _IMAGES)
    return _dataset(_Images(files, labels, size, channels), Path(folder), labels, cache, version, name)


def audio_in(
    folder: str | Path,
    rate: int,
    *,
    seconds: float | None = None,
    cache: bool = True,
    version: str | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the recordings in a folder that has a folder for each class, as Keras's `audio_dataset_from_directory`.

    Args:
        folder: The folder with 16-bit WAV files. Classes are numbered in the order of the names of the folders in it.
        rate: Samples of a second that all recordings have.
        seconds: The length to which all are cut or padded with silence; None to keep each length.
        cache: As in `Dataset`.
        version: As in `Dataset`.
        name: The name of the data in reports; None for the name of the folder.

    Returns:
        x of shape (n, samples), float32 in [-1, 1], the mean of all channels, or a `RaggedArray`; y of shape (n,), the
        classes; the classes as strata.

    Raises:
        DataError: The folder has no recordings, or one cannot be decoded or has another rate.
    """
    files, labels = _files_by_class(Path(folder), _RECORDINGS)
    n_samples = None if seconds is None else round(rate * seconds)
    return _dataset(_Recordings(files, labels, rate, n_samples), Path(folder), labels, cache, version, name)


def _files_by_class(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    classes = sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    files: list[Path] = []
    labels: list[int] = []
    for label, own in enumerate(classes):
        found = sorted(path for path in own.rglob("*") if path.suffix.lower() in endings)
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(
            f"there are no files of the kinds {', '.join(endings)} in the folders of {folder}.",
            "Expected a folder for each class, with its files in it.",
            "Check the path. Files without classes can be a source of your own: a class with __len__ and __getitem__.",
        )
    return files, labels


def _dataset(
    source: Any, folder: Path, labels: Sequence[int], cache: bool, version: str | None, name: str | None
) -> Dataset:
    return Dataset(
        source,
        name=name or folder.name,
        n_classes=max(labels) + 1,
        stratify=np.array(labels),
        cache=cache,
        version=version,
    )


@final
class _Images:
    def __init__(self, files: list[Path], labels: list[int], size: tuple[int, int], channels: int) -> None:
        self._files = files
        self._labels = labels
        self._size = size
        self._channels = channels

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import tensorflow as tf

        content = tf.io.read_file(str(self._files[index]))
        image = _decoded(
            self._files[index], lambda: tf.io.decode_image(content, self._channels, expand_animations=False)
        )
        resized = tf.image.resize(image, self._size, antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8).numpy(), self._labels[index]


@final
class _Recordings:
    def __init__(self, files: list[Path], labels: list[int], rate: int, n_samples: int | None) -> None:
        self._files = files
        self._labels = labels
        self._rate = rate
        self._n_samples = n_samples

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import tensorflow as tf

        content = tf.io.read_file(str(self._files[index]))
        samples, rate = _decoded(self._files[index], lambda: tf.audio.decode_wav(content))
        if int(rate) != self._rate:
            raise DataError(
                f"{self._files[index]} has {int(rate):,} samples a second.",
                f"All recordings have {self._rate:,} samples a second.",
                "Give the rate of the recordings, or convert this one.",
            )
        mono = samples.numpy().mean(axis=1, dtype=np.float32)
        if self._n_samples is not None:
            mono = np.pad(mono[: self._n_samples], (0, max(0, self._n_samples - len(mono))))
        return mono, self._labels[index]


def _decoded(path: Path, decode: Any) -> Any:
    import tensorflow as tf

    try:
        return decode()
    except tf.errors.InvalidArgumentError as error:
        raise DataError(
            f"{path} cannot be decoded: {str(error.message).splitlines()[0]}",
            "Images are BMP, GIF, JPEG or PNG files; recordings are 16-bit WAV files.",
            "Replace the file, or leave it out.",
        ) from error
