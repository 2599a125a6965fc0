"""Rows of different lengths in one array: the tokens of sentences, the samples of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final, overload

import numpy as np
import numpy.typing as npt


def starts_of(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return where rows of these lengths, (n,), start in one array, and where the last one ends: shape (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


@final
class RaggedArray:
    """Rows that differ in the length of their first axis.

    Args:
        values: All rows one after another, shape (total length, ...).
        starts: The positions in `values` where each row starts, and where the last one ends: shape (n + 1,), integers
            from 0, not decreasing.

    Example:
        >>> rows = RaggedArray.of([np.array([1, 2, 3]), np.array([4])])
        >>> rows.shape, rows.padded().tolist()
        ((2, None), [[1, 2, 3], [4, 0, 0]])
    """

    def __init__(self, values: npt.NDArray[Any], starts: npt.NDArray[np.int64]) -> None:
        self.values = values
        self.starts = starts

    @classmethod
    def of(cls, rows: Sequence[npt.NDArray[Any]]) -> RaggedArray:
        """Return the ragged array of some rows of shape (length, ...), at least one, which differ in length only."""
        return cls(np.concatenate(rows), starts_of([len(row) for row in rows]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for start, stop in zip(self.starts, self.starts[1:], strict=False):
            yield self.values[start:stop]

    @overload
    def __getitem__(self, rows: int | np.integer[Any]) -> npt.NDArray[Any]: ...

    @overload
    def __getitem__(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> RaggedArray: ...

    def __getitem__(self, rows: npt.ArrayLike | slice) -> RaggedArray | npt.NDArray[Any]:
        """Return one row, or copy some rows, given by their positions or by a slice."""
        if isinstance(rows, (int, np.integer)):
            row = range(len(self))[rows]
            return self.values[self.starts[row] : self.starts[row + 1]]
        chosen = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[chosen]
        starts = starts_of(lengths)
        at = np.arange(starts[-1]) + np.repeat(self.starts[:-1][chosen] - starts[:-1], lengths)
        return RaggedArray(self.values[at], starts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.padded(), dtype=dtype)

    def __repr__(self) -> str:
        return f"RaggedArray(shape={self.shape}, dtype={self.dtype})"

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, with None for the length."""
        return (len(self), None, *self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all values and starts."""
        return self.values.nbytes + self.starts.nbytes

    def tobytes(self) -> bytes:
        """Return the bytes of the values, without the lengths."""
        return self.values.tobytes()

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each row, shape (n,)."""
        return np.diff(self.starts)

    def padded(self) -> npt.NDArray[Any]:
        """Return the rows with zeros, or empty strings, after their end, shape (n, longest, ...), longest >= 1."""
        lengths = self.lengths
        longest = max(1, int(lengths.max(initial=0)))
        found = np.zeros((len(self), longest, *self.values.shape[1:]), self.dtype)
        found[np.arange(longest) < lengths[:, np.newaxis]] = self.values[self.starts[0] : self.starts[-1]]
        return found
