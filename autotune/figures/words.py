"""Texts with their attributions as HTML: the background of each word shows what it contributes, on light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb

from autotune.escaping import as_html
from autotune.figures.attributions import AGAINST, FOR

_STRONGEST = 0.6  # opacity behind the word with the largest attribution; the page's background shows through


def coloured_words(words: Sequence[str], values: npt.NDArray[Any]) -> str:
    """Return a text as HTML: words that speak for a class are orange, words against it are blue.

    Args:
        words: The words, as plain text.
        values: The attribution of each word, of the same length. The largest has the full colour, 0 has none; each
            value is also the title of its word.

    Example:
        >>> coloured_words(["a", "<b>"], np.array([0.0, -0.5]))
        '<span title="+0.000">a</span> <span style="background:rgba(59,130,246,0.60)" title="-0.500">&lt;b&gt;</span>'
    """
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    return " ".join(_coloured(word, float(value), largest) for word, value in zip(words, values, strict=True))


def _coloured(word: str, value: float, largest: float) -> str:
    opacity = _STRONGEST * abs(value) / largest
    red, green, blue = (round(255 * part) for part in to_rgb(FOR if value > 0 else AGAINST))
    style = f' style="background:rgba({red},{green},{blue},{opacity:.2f})"' if opacity >= 0.005 else ""
    return f'<span{style} title="{value:+.3f}">{as_html(word)}</span>'
