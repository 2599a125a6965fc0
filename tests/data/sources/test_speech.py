"""Spoken digits: the official layout and test rows, spectrograms that show what was said and not how loudly."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from autotune.data.sources import load_development, load_test
from autotune.data.sources.speech import log_mel
from autotune.data.splits import GroupKFold, split
from autotune.errors import DataError

RATE = 8000


def _tone(hz: float, seconds: float = 0.4) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def _write(path: Path, samples: npt.NDArray[np.float32], rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for digit in range(10):
        for speaker in ("jackson", "theo"):
            for index in range(7):
                name = f"{digit}_{speaker}_{index}.wav"
                _write(tmp_path / "free-spoken-digit-dataset" / "recordings" / name, _tone(300 + 300 * digit + index))
    return tmp_path


def test_the_first_five_recordings_of_each_digit_and_speaker_are_the_test(data_dir: Path) -> None:
    development, test = load_development("spoken-digits", data_dir), load_test("spoken-digits", data_dir)
    assert (len(development), len(test)) == (10 * 2 * 2, 10 * 2 * 5)
    assert development.input_shape == test.input_shape == (99, 40, 1)
    assert development.x.dtype == np.float32
    assert development.n_classes == 10
    assert not {row.tobytes() for row in development.x} & {row.tobytes() for row in test.x}


def test_speakers_are_groups_that_folds_keep_together(data_dir: Path) -> None:
    data = load_development("spoken-digits", data_dir)
    assert data.groups is not None
    assert sorted(data.groups) == ["jackson"] * 20 + ["theo"] * 20
    for fold in split(GroupKFold(2), data, 0):
        assert not set(data.groups[fold.train]) & set(data.groups[fold.validation])


def test_a_tone_is_loudest_in_its_band_and_higher_tones_in_higher_ones() -> None:
    bands = [int(log_mel(_tone(hz)).mean(axis=0).argmax()) for hz in (200, 400, 800, 1600, 3200)]
    assert bands == sorted(set(bands))


def test_loudness_does_not_count() -> None:
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    assert log_mel(noise) == pytest.approx(log_mel(noise / 4), abs=1e-3)


def test_a_short_recording_is_in_the_middle_and_of_a_long_one_the_loudest_second_is_kept() -> None:
    short = np.exp(log_mel(_tone(500, 0.2))).sum(axis=1)
    assert short[30:70].sum() > 0.95 * short.sum()
    silence = np.zeros(RATE, dtype=np.float32)
    long = log_mel(np.concatenate([silence, silence, _tone(500, 1.0), silence]))
    assert long == pytest.approx(log_mel(_tone(500, 1.0)), abs=1.0)


@pytest.mark.parametrize(("rate", "content"), [(16000, None), (RATE, b"RIFF nothing")])
def test_a_recording_of_another_kind_is_named(data_dir: Path, rate: int, content: bytes | None) -> None:
    path = data_dir / "free-spoken-digit-dataset" / "recordings" / "1_theo_6.wav"
    _write(path, _tone(300), rate)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)1_theo_6\.wav.*8000 Hz, one channel and 16 bits"):
        load_development("spoken-digits", data_dir)


@pytest.mark.parametrize("gone", ["*_[56].wav", "[1-9]_*.wav", "3_theo_6.wav", "0_jackson_1.wav"])
def test_a_part_of_the_recordings_is_not_taken_for_all(data_dir: Path, gone: str) -> None:
    for path in (data_dir / "free-spoken-digit-dataset" / "recordings").glob(gone):
        path.unlink()
    (data_dir / "free-spoken-digit-dataset" / "recordings" / "0_jackson_0.wav").touch()  # the proof that they are there
    with pytest.raises(DataError, match="some are missing"):
        load_development("spoken-digits", data_dir)


def test_a_recording_that_is_cut_off_is_named(data_dir: Path) -> None:
    path = data_dir / "free-spoken-digit-dataset" / "recordings" / "1_theo_6.wav"
    path.write_bytes(path.read_bytes()[:1001])
    with pytest.raises(DataError, match=r"1_theo_6\.wav is cut off"):
        load_development("spoken-digits", data_dir)
