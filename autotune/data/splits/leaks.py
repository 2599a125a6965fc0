"""Leaks: validation rows that repeat or overlap training rows, so that a model may have memorised them.

Rows are compared by hashes of their bytes: whole rows, and runs of consecutive steps along the first axis of a row,
which is the time axis of a window. Windows that overlap hold the same run at different places; rows of a table and
images do not.

What is not covered: rows that are nearly the same; windows that share less than half of their steps; series with so few
different values that runs are equal by chance, such as answers from 1 to 5; and, in very large data, rows outside the
sample.

Symbols: n rows of t steps; a run is k steps long, and a row has t - k + 1 runs. Only the few runs with the smallest
hashes are kept, because rows that share many runs share these too (Broder, "On the resemblance and containment of
documents", 1997).
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Arrays, Dataset, Leaf, RaggedArray, leaves
from autotune.data.splits.positions import Fold
from autotune.errors import DataError

_FORM = 2  # version of the kept file; a file of another version is computed again
_MOST_ROWS, _MOST_BYTES = 200_000, 2**30  # larger data is sampled: this takes 15 s of one core, once for each split
_STEPS_AT_A_TIME = 2**20
_KEPT = 8  # runs that are kept of each row
_MOST_COMPARED = 64  # steps of a run that are compared to count the different ones
_LEAST_NUMBERS = 8  # numbers in a run, if windows are long enough: shorter runs may be equal by chance
_LEAST_STEPS = 4  # steps of a window
_BY_CHANCE = 1e-3  # accepted number of runs of each row that are equal by chance
_LOOKED_AT = 1000  # rows that estimate how often two steps are equal by chance
_MANY_REPEATED, _MANY_OVERLAPPING, _SOME_OVERLAPPING = 0.01, 0.1, 0.01  # shares of the rows to validate on
_ODD = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.uint64(2**64 - 1)

_Hashes: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Leaks:
    """The number of validation rows that repeat or overlap training rows.

    Attributes:
        n_validation: Validation rows that were checked, over all folds.
        n_repeated: Validation rows that equal a training row, byte for byte.
        n_overlapping: Other validation rows that share a run of steps with a training row, at another place in it.
        apart: How many rows lie between these two rows: the median; 0 without overlapping rows.
        steps: Length of such a run; 0 if rows are too short for one.
        n_rows: Development rows that were checked.
        n_distinct: How many of these differ from each other.
        is_sample: Whether only a sample of the rows was checked.
    """

    n_validation: int
    n_repeated: int
    n_overlapping: int
    apart: float
    steps: int
    n_rows: int
    n_distinct: int
    is_sample: bool

    def __str__(self) -> str:
        """Describe the leaks in a few sentences; "" if there are none worth a sentence.

        Repeated rows are a warning from one percent on, because fewer change an accuracy by less than that. They are no
        warning where most rows equal others anyway, as in a table of a few yes-or-no columns.
        """
        sentences = [*self._overlapping(), *self._repeated()]
        if sentences and self.is_sample:
            sentences.append(f"A sample of {self.n_rows:,} development rows was checked.")
        return " ".join(sentences)

    def refuse_out_of_order(self, name: str) -> None:
        """Refuse rows that are split in time but are not in order of time, as far as windows show it.

        In order of time only the windows beside the border overlap, two lengths of a window at most on each side. In
        another order windows that overlap are far apart, too.

        Args:
            name: The name of the data.

        Raises:
            DataError: More windows overlap than can lie beside the border, or they are far from each other.
        """
        many = _MANY_OVERLAPPING * self.n_validation
        are_far = self.apart > max(self.n_rows / 4, 4 * self.steps)  # a run is half a window long
        if self.n_overlapping > max(many, 4 * self.steps) or (are_far and self.n_overlapping > many):
            raise DataError(
                f"the rows of {name!r} are not in order of time: {self._of(self.n_overlapping)} share at least "
                f"{self.steps} consecutive steps with training rows.",
                "Folds in order of time train on older rows and validate on newer ones.",
                "Sort the rows, e.g. order = np.argsort(times, kind='stable'), and leave a gap of a window's length.",
            )

    def _overlapping(self) -> list[str]:
        if self.n_overlapping < max(1, _SOME_OVERLAPPING * self.n_validation):
            return []
        is_warning = self.n_overlapping >= _MANY_OVERLAPPING * self.n_validation
        return [
            f"{'warning: ' * is_warning}{self._of(self.n_overlapping)} overlap training rows: they share at least "
            f"{self.steps} consecutive steps, at another place, as windows do that are cut from one series. A score on "
            "them measures memory, not foresight. Keep windows that overlap on one side: Dataset(x, y, "
            "groups=block_of_time) with GroupKFold, without the windows that reach into two blocks; or validate on the "
            "newest ones, folds=Latest(fraction, gap=length of a window)."
        ]

    def _repeated(self) -> list[str]:
        if not self.n_repeated:
            return []
        is_usual = 2 * self.n_distinct < self.n_rows
        is_warning = self.n_repeated >= _MANY_REPEATED * self.n_validation and not is_usual
        usual = f" Of all {self.n_rows:,} rows only {self.n_distinct:,} are different." if is_usual else ""
        return [
            f"{'warning: ' * is_warning}{self._of(self.n_repeated)} are training rows, too: their x is the same, byte "
            f"for byte, so that a model can know them by heart.{usual} Leave repeated rows out "
            "(np.unique(x, axis=0, return_index=True)[1]), or put equal rows into one group and use GroupKFold."
        ]

    def _of(self, n: int) -> str:
        percent = 100 * n / max(1, self.n_validation)
        shown = f"{percent:.0f}" if percent >= 1 else f"{percent:.2g}"
        return f"{n:,} of {self.n_validation:,} rows to validate on ({shown} %)"


@dataclass(frozen=True, eq=False)
class _Sketches:
    """Hashes of n rows: one of each row, (n,), and those of some of its runs with their places, (n, r)."""

    rows: _Hashes
    runs: _Hashes
    places: npt.NDArray[np.int32]


def known_leaks(data: Dataset, folds: Sequence[Fold], seed: int, path: Path) -> Leaks:
    """Return the result of `find_leaks`, which is kept in the file `path`, so that it is computed only once.

    The caller names the file after the data and the folds.

    Raises:
        OSError: The disk is full or the file cannot be written.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # not there yet, or garbled
        kept = json.loads(path.read_bytes())
        if kept.pop("form") == _FORM:
            return Leaks(**kept)
    found = find_leaks(data, folds, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        beside.write_text(json.dumps({"form": _FORM, **vars(found)}), "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return found


def find_leaks(data: Dataset, folds: Sequence[Fold], seed: int) -> Leaks:
    """Compare the validation rows of each fold with its training rows.

    Args:
        data: The development rows.
        folds: Positions among them.
        seed: The seed of the sample that is taken of very large data.

    Example:
        >>> import numpy as np
        >>> data = Dataset(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]), np.array([0, 1, 0]))
        >>> find_leaks(data, [Fold(np.array([0, 1]), np.array([2]))], seed=0).n_repeated
        1
    """
    looked_at = _sample(data, seed)
    windows = _windows(data)
    steps = _steps(data, windows)
    sketches = _sketched(data if looked_at is None else data.subset(looked_at), steps, windows)
    n_validation = n_repeated = 0
    apart = []
    for fold in folds:
        train, held = (_among(looked_at, rows) for rows in (fold.train, fold.validation))
        is_repeated = np.isin(sketches.rows[held], sketches.rows[train])
        n_validation += len(held)
        n_repeated += int(is_repeated.sum())
        apart.append(_apart(sketches, train, held[~is_repeated]))
    distances = np.concatenate(apart) if apart else np.zeros(0)
    return Leaks(
        n_validation=n_validation,
        n_repeated=n_repeated,
        n_overlapping=len(distances),
        apart=float(np.median(distances)) if len(distances) else 0.0,
        steps=steps,
        n_rows=len(sketches.rows),
        n_distinct=len(np.unique(sketches.rows)),
        is_sample=looked_at is not None,
    )


def _sample(data: Dataset, seed: int) -> npt.NDArray[np.int64] | None:
    """Return sorted positions of the sampled rows; None for all rows."""
    most = min(_MOST_ROWS, max(1000, _MOST_BYTES // data.row_bytes))
    if len(data) <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(len(data), most, replace=False)).astype(np.int64)


def _among(looked_at: npt.NDArray[np.int64] | None, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the positions in the sample of those of `rows` that are in it."""
    return rows if looked_at is None else np.flatnonzero(np.isin(looked_at, rows))


def _windows(data: Dataset) -> str:
    """Return the name of the input whose rows may be windows of a series: the largest array with a time axis, or ""."""
    arrays = [(name, leaf) for name, leaf in _inputs(data.arrays_at([0])) if isinstance(leaf, np.ndarray)]
    long = [(leaf.nbytes, name) for name, leaf in arrays if leaf.ndim > 1 and leaf.shape[1] >= _LEAST_STEPS]
    return max(long)[1] if long else ""


def _inputs(arrays: Arrays) -> list[tuple[str, Leaf]]:
    return [*leaves(arrays.x, "x")]


def _array(arrays: Arrays, name: str) -> npt.NDArray[Any]:
    return np.asarray(dict(_inputs(arrays))[name])


def _steps(data: Dataset, windows: str) -> int:
    """Return the number of steps of a run: half a window, and more of short windows; 0 if runs are equal by chance."""
    if not windows:
        return 0
    shape = _array(data.arrays_at([0]), windows).shape[1:]
    numbers = int(np.prod(shape[1:]))
    k = min(shape[0] - 1, max(-(-shape[0] // 2), -(-_LEAST_NUMBERS // max(1, numbers)), 2))
    n_runs = len(data) * (shape[0] - k + 1)
    return k if n_runs * _same_by_chance(data, windows) ** k < _BY_CHANCE else 0


def _same_by_chance(data: Dataset, windows: str) -> float:
    """Return the probability that two steps are equal, among the steps that differ from the step before them."""
    rows = np.linspace(0, len(data) - 1, min(len(data), _LOOKED_AT)).astype(np.int64)
    hashes = _hashed(_array(data.arrays_at(rows), windows))
    _, counts = np.unique(hashes[:, 1:][hashes[:, 1:] != hashes[:, :-1]], return_counts=True)
    n = int(counts.sum())
    return float((counts * (counts - 1.0)).sum()) / max(1.0, n * (n - 1.0))


def _sketched(data: Dataset, k: int, windows: str) -> _Sketches:
    arrays = [leaf for _, leaf in _inputs(data.arrays_at([0])) if isinstance(leaf, np.ndarray)]
    at_a_time = max(1, _STEPS_AT_A_TIME // max(1, *((*leaf.shape, 1)[1] for leaf in arrays), 1))
    parts = [
        _sketch_of(_inputs(chunk.at(slice(start, start + at_a_time))), k, windows)
        for chunk in data.chunks()
        for start in range(0, len(_inputs(chunk)[0][1]), at_a_time)
    ]
    return _Sketches(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "runs", "places")))


def _sketch_of(inputs: Sequence[tuple[str, Leaf]], k: int, windows: str) -> _Sketches:
    """Return the hashes of whole rows over all inputs, and of the runs of one of them."""
    parts = [(_sketch(_rectangle(leaf), k if name == windows else 0), name) for name, leaf in inputs]
    runs = next((part for part, name in parts if name == windows), parts[0][0])
    if len(parts) == 1:
        return runs
    rows = np.zeros_like(runs.rows)
    for part, _ in parts:
        rows = rows * _ODD + part.rows
    return _Sketches(rows, runs.runs, runs.places)


def _rectangle(leaf: Leaf) -> npt.NDArray[Any]:
    """Return an array of shape (n, ...); rows of different lengths become two hashes each, of values and length."""
    if not isinstance(leaf, RaggedArray):
        return np.asarray(leaf)
    hashes = _hashed(leaf.values[:, np.newaxis])[:, 0]
    powers = _powers(_ODD, max(1, int(leaf.lengths.max(initial=1))))
    places = np.arange(len(hashes)) - np.repeat(leaf.starts[:-1] - leaf.starts[0], leaf.lengths)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes * powers[places], dtype=np.uint64)])
    starts = leaf.starts - leaf.starts[0]
    return np.stack([sums[starts[1:]] - sums[starts[:-1]], leaf.lengths.astype(np.uint64)], axis=1)


def _sketch(x: npt.NDArray[Any], k: int) -> _Sketches:
    hashes = _hashed(x)
    n, t = hashes.shape
    powers = _powers(_ODD, t)
    sums = np.zeros((n, t + 1), np.uint64)
    np.cumsum(hashes * powers, axis=1, out=sums[:, 1:])
    if not k:
        return _Sketches(sums[:, -1], np.zeros((n, 0), np.uint64), np.zeros((n, 0), np.int32))
    # A polynomial of the steps' hashes, divided by a power that depends on its place: it is the same at every place.
    runs = (sums[:, k:] - sums[:, :-k]) * _powers(_inverse(_ODD), t - k + 1)
    changes = np.zeros((n, t), np.int32)
    np.cumsum(hashes[:, 1:] != hashes[:, :-1], axis=1, out=changes[:, 1:])
    runs[2 * (changes[:, k - 1 :] - changes[:, : t - k + 1]) < k - 1] = _NONE
    places = np.argpartition(runs, _KEPT - 1, axis=1)[:, :_KEPT] if runs.shape[1] > _KEPT else _every(runs)
    kept = np.take_along_axis(runs, places, axis=1)
    kept[_n_distinct(hashes, places, k) < max(3, -(-min(k, _MOST_COMPARED) // 2))] = _NONE
    return _Sketches(sums[:, -1], kept, places.astype(np.int32))


def _hashed(x: npt.NDArray[Any]) -> _Hashes:
    """Return a hash of each step of each row, shape (n, t); a row without steps counts as one step."""
    n, t = (*x.shape, 1)[:2]
    raw = np.ascontiguousarray(x).view(np.uint8).reshape(n, t, -1)
    words = np.zeros((n, t, -(-raw.shape[2] // 8) * 8), np.uint8)
    words[:, :, : raw.shape[2]] = raw
    numbers = words.view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, numbers.shape[2], dtype=np.uint64) | np.uint64(1)
    mixed: _Hashes = ((numbers ^ (numbers >> np.uint64(29))) * factors).sum(axis=2, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(32)
    mixed *= _ODD
    return mixed ^ (mixed >> np.uint64(29))


def _powers(base: np.uint64, n: int) -> _Hashes:
    powers: _Hashes = np.cumprod(np.concatenate([np.ones(1, np.uint64), np.full(n - 1, base)]), dtype=np.uint64)
    return powers


def _inverse(odd: np.uint64) -> np.uint64:
    return np.uint64(pow(int(odd), -1, 2**64))


def _every(runs: _Hashes) -> npt.NDArray[np.int64]:
    return np.broadcast_to(np.arange(runs.shape[1]), runs.shape)


def _n_distinct(hashes: _Hashes, places: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """Return the number of different steps in each run, or in a sample of a long run, shape (n, r)."""
    rows = np.arange(len(hashes))[:, np.newaxis, np.newaxis]
    compared = np.linspace(0, k - 1, min(k, _MOST_COMPARED)).astype(np.int64)
    steps = np.sort(hashes[rows, places[:, :, np.newaxis] + compared], axis=2)
    found: npt.NDArray[np.int64] = 1 + (steps[:, :, 1:] != steps[:, :, :-1]).sum(axis=2)
    return found


def _apart(sketches: _Sketches, train: npt.NDArray[np.int64], held: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how far each validation row that has a run of a training row, at another place, is from such a row."""
    runs, places = sketches.runs[train].ravel(), sketches.places[train].ravel()
    order = np.lexsort((places, runs))
    runs, places = runs[order], places[order]
    wanted, at = sketches.runs[held], sketches.places[held]
    first, after = np.searchsorted(runs, wanted, "left"), np.searchsorted(runs, wanted, "right")
    is_there = (after > first) & (wanted != _NONE)
    if not is_there.any():
        return np.zeros(0, np.int64)
    first, last = np.minimum(first, len(runs) - 1), np.maximum(after - 1, 0)
    elsewhere = (places[first] != at) | (places[last] != at)  # the smallest place and the largest one
    found = is_there & elsewhere
    rows = np.flatnonzero(found.any(axis=1))
    owners = train[order[first[rows, found[rows].argmax(axis=1)]] // sketches.runs.shape[1]]
    distances: npt.NDArray[np.int64] = np.abs(held[rows] - owners)
    return distances
