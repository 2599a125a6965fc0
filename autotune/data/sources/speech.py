"""Spoken digits: the free spoken digit dataset as log-mel spectrograms.

Shapes: s samples at 8 kHz; t = 99 frames of 32 ms, one every 10 ms; m = 40 mel bands. x is (n, t, m, 1), float32: the
natural logarithm of the power in each band, minus the mean over the recording, which removes the loudness.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset
from autotune.data.sources.official import Archive, Part
from autotune.errors import DataError

_RATE_HZ = 8000
_SAMPLES = 8000  # one second; the loudest second of a longer recording
_FRAME, _HOP = 256, 80
_BANDS = 40
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 4000.0
_FLOOR = 1e-6
_N_TEST = 5  # recordings 0 to 4 of each digit and speaker: the dataset's own rule
AXES = ("time (frames of 10 ms)", "mel band")
"""The names of the two axes of a spectrogram."""
_NAME = re.compile(r"(\d)_(\w+)_(\d+)\.wav")
_ARCHIVE = Archive(
    folder="free-spoken-digit-dataset",
    url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
    inside="free-spoken-digit-dataset-1.0.10",
    proof="recordings/0_jackson_0.wav",
)


@dataclass(frozen=True)
class SpokenDigits:
    """Recordings of digits by several speakers; each speaker is a group."""

    name: str = "spoken-digits"
    description: str = "spoken digits, 3000 recordings of 6 speakers, 10 classes"
    how_to_get: str = _ARCHIVE.how_to_get
    has_test_rows: bool = True

    def find(self, data_dir: Path | None) -> tuple[bool, str]:
        """Tell whether the recordings are there, and where they are or which folders were searched."""
        return _ARCHIVE.find(data_dir) is not None, _ARCHIVE.where(data_dir)

    def load(self, part: Part, data_dir: Path | None) -> Dataset:
        """Read the development or the test rows; recordings 0 to 4 of each digit and speaker are the test rows."""
        folder = _ARCHIVE.get(data_dir) / "recordings"
        named = [(path, match) for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))]
        _check_whole(folder, [match.groups() for _, match in named])
        chosen = [(path, match) for path, match in named if (int(match[3]) < _N_TEST) == (part == "test")]
        x = np.stack([log_mel(_read(path)) for path, _ in chosen])[..., np.newaxis]
        y = np.array([int(match[1]) for _, match in chosen], dtype=np.int64)
        speakers = np.array([match[2] for _, match in chosen])
        return Dataset(x, y, name=self.name, n_classes=10, groups=speakers)


def log_mel(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the log-mel spectrogram of a recording, padded or cut to a second.

    Args:
        samples: Shape (s,), in [-1, 1], at 8 kHz.

    Returns:
        Shape (99, 40).
    """
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(_second_of(samples), _FRAME // 2), _FRAME)[::_HOP]
    power = np.abs(np.fft.rfft(framed[:99] * np.hanning(_FRAME), axis=1)) ** 2
    logs = np.log(power @ _filters().T + _FLOOR)
    found: npt.NDArray[np.float32] = (logs - logs.mean()).astype(np.float32)
    return found


def _second_of(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the loudest second of a recording; a shorter recording is padded with silence on both sides."""
    spare = len(samples) - _SAMPLES
    if spare <= 0:
        return np.pad(samples, (-spare // 2, -spare - -spare // 2))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    begin = int(np.argmax(energy[_SAMPLES:] - energy[:-_SAMPLES]))
    return samples[begin : begin + _SAMPLES]


@cache
def _filters() -> npt.NDArray[np.float64]:
    """Return triangular filters, evenly spaced on the mel scale of O'Shaughnessy (1987), shape (m, _FRAME // 2 + 1)."""
    mels = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    low, middle, high = edges[:-2, np.newaxis], edges[1:-1, np.newaxis], edges[2:, np.newaxis]
    hz = np.fft.rfftfreq(_FRAME, 1 / _RATE_HZ)
    found: npt.NDArray[np.float64] = np.clip(
        np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)), 0, 1
    )
    return found


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def _check_whole(folder: Path, named: Sequence[Sequence[str]]) -> None:
    """Refuse an incomplete set of recordings, which would lack digits, speakers or indices without notice."""
    speakers, indices = {speaker for _, speaker, _ in named}, {int(index) for _, _, index in named}
    expected = 10 * len(speakers) * (max(indices, default=0) + 1)
    if not named or max(indices) < _N_TEST or len(named) != expected:
        raise DataError(
            f"{folder} has {len(named)} recordings of {len(speakers)} speaker(s): some are missing.",
            "Expected files DIGIT_SPEAKER_INDEX.wav, equally many of each digit and speaker; those with an index from "
            "0 to 4 are the test rows.",
            _ARCHIVE.how_to_get,
        )


def _read(path: Path) -> npt.NDArray[np.float32]:
    try:
        with wave.open(str(path)) as file:
            form = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    if form != (_RATE_HZ, 1, 2):
        raise _damaged(path, f"has {form[0]} Hz, {form[1]} channel(s) and {8 * form[2]} bits")
    if len(data) % 2 or not data:
        raise _damaged(path, f"is cut off after {len(data)} bytes of sound")
    samples: npt.NDArray[np.float32] = np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32768)
    return samples


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        f"{path} {found}.", "Recordings are wav files of 8000 Hz, one channel and 16 bits.", _ARCHIVE.how_to_get
    )
