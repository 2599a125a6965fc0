"""The common style of all figures; in SVG they take their text colour from the page, be it light or dark.

Figures are made without `matplotlib.pyplot`, because its global state would be shared with threads and with a user's
notebook.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from autotune.escaping import one_line

INK = "#1c1d22"  # text and axes; in SVG the colour of the page's own text
FAINT = "#8b8d98"  # grid and background marks; in SVG the page's variable --faint
COLOURS = ("#3b82f6", "#f08c2e", "#2aa876", "#c26bd6", "#e5554f", "#9a7b4f", "#16a5b8", "#b59f00")  # on light and dark
FIRST, SECOND, THIRD, *_ = COLOURS

_WIDTH_IN, _HEIGHT_IN, _DPI = 6.4, 3.6, 100
_LONGEST_LABEL = 40  # characters
_RC: Any = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "text.parse_math": False,  # a user's text between two dollar signs is no formula
    "text.usetex": False,  # and no TeX program
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud, and takes the page's font
}


_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Make a function draw in this style, independent of the process's own Matplotlib settings."""

    @functools.wraps(draw)
    def drawing(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return drawing


def new_axes(width_in: float = _WIDTH_IN, height_in: float = _HEIGHT_IN, columns: int = 1, rows: int = 1) -> list[Axes]:
    """Return the empty axes of a new figure (`axes[0].figure`), row by row; call it in a `styled` function.

    Args:
        width_in: Width of the figure in inches.
        height_in: Height of the figure in inches.
        columns: Number of columns of axes.
        rows: Number of rows of axes.
    """
    figure = Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def as_label(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Return a text from others as one escaped line for a figure, cut so that it leaves room for the numbers."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes are in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG on white.

    This does not use `savefig`, which draws twice: once to measure and once to save.
    """
    content = io.BytesIO()
    with _drawn_with(_RC):
        figure.set_facecolor("white")
        FigureCanvasAgg(figure).print_png(content)  # type: ignore[no-untyped-call]  # reason: Matplotlib leaves it out
    return content.getvalue()


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an `<svg>` element for an HTML page, without a background.

    The page defines `color` and the variable `--faint`. Without these, text is black and the grid is grey.

    Args:
        figure: The figure.
        name: A name that no other figure of the page has; all identifiers in the SVG begin with it.
    """
    content = io.BytesIO()
    with _drawn_with(_RC | {"svg.hashsalt": name}):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = content.getvalue().decode()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(FAINT, f"var(--faint, {FAINT})")
    # Identifiers must be unique in the whole page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


@contextlib.contextmanager
def _drawn_with(settings: Any) -> Iterator[None]:
    """Draw with these settings, and do not warn of letters that Matplotlib's font lacks: the reader's may have them."""
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield
