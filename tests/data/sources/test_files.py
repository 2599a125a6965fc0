"""Images and recordings in folders become rows; what cannot be decoded is named."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from autotune.data.sources import audio_in, images_in
from autotune.errors import DataError

pytestmark = pytest.mark.trains  # TensorFlow decodes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    import tensorflow as tf

    for label, kind in enumerate(("cats", "dogs")):
        for number in range(3):
            path = tmp_path / "pets" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            grey = tf.fill((6 + number, 5, 3), tf.constant(40 * label + number, tf.uint8))
            path.write_bytes(tf.io.encode_png(grey).numpy())
    (tmp_path / "pets" / "cats" / "notes.txt").write_text("no image")
    return tmp_path / "pets"


@pytest.mark.parametrize("cache", [True, False])
def test_images_have_one_size_and_the_classes_of_their_folders(images: Path, cache: bool) -> None:
    data = images_in(images, (4, 4), cache=cache)
    assert (len(data), data.input_shape, data.n_classes, data.name) == (6, (4, 4, 3), 2, "pets")
    x, y = data.batch(np.arange(6))
    assert x.dtype == np.uint8
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2, 40, 41, 42]
    assert data.strata is not None
    assert data.strata.tolist() == y.tolist()
    assert images_in(images, (4, 4), channels=1, cache=cache).input_shape == (4, 4, 1)


def test_images_keep_their_mean_when_they_are_made_smaller(images: Path) -> None:
    import tensorflow as tf

    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 1), dtype=np.uint8)
    (images / "cats" / "0.png").write_bytes(tf.io.encode_png(noise).numpy())
    data = images_in(images, (6, 6), channels=1)
    assert abs(float(data.x[0].mean()) - float(noise.mean())) < 3


def test_an_image_that_cannot_be_decoded_is_named(images: Path) -> None:
    (images / "dogs" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"dogs/1.png cannot be decoded"):
        images_in(images, (4, 4))


@pytest.mark.parametrize(("size", "channels"), [((4,), 3), ((0, 4), 3), ((4, 4), 2)])
def test_sizes_that_no_image_has_are_refused(images: Path, size: tuple[int, int], channels: int) -> None:
    with pytest.raises(DataError, match="size is"):
        images_in(images, size, channels=channels)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="there are no files"):
            images_in(folder, (4, 4))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for label, kind in enumerate(("no", "yes")):
        for number in range(2):
            path = tmp_path / "words" / kind / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(np.full(100 + number, 2**14 * (label + 1) // 2, "<i2").tobytes())
    return tmp_path / "words"


@pytest.mark.parametrize("cache", [True, False])
def test_recordings_keep_their_length_or_are_cut_to_one(recordings: Path, cache: bool) -> None:
    data = audio_in(recordings, 8000, cache=cache)
    assert (len(data), data.input_shape, data.n_classes) == (4, (None,), 2)
    x, y = data.batch([0, 3])
    assert x.shape == (2, 101)
    np.testing.assert_allclose(x[:, :100].T, [[0.25, 0.5]] * 100)
    assert x[0, 100] == 0
    assert y.tolist() == [0, 1]
    assert audio_in(recordings, 8000, seconds=0.01, cache=cache).input_shape == (80,)
    assert audio_in(recordings, 8000, seconds=0.02, cache=cache).batch([1])[0][0, 101:].tolist() == [0.0] * 59


def test_a_recording_of_another_rate_is_named(recordings: Path) -> None:
    with pytest.raises(DataError, match=r"no/0.wav has 8,000 samples a second"):
        audio_in(recordings, 16000)
