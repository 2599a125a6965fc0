"""One look for all pictures. As SVG they take their ink from the page, so that they are legible on light and dark.

Figures are made without `matplotlib.pyplot`, whose global state neither threads nor a user's notebook want to share.
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
FAINT = "#8b8d98"  # grid, what is in the background; in SVG the page's variable --faint
COLOURS = ("#3b82f6", "#f08c2e", "#2aa876", "#c26bd6", "#e5554f", "#9a7b4f", "#16a5b8", "#b59f00")  # on both grounds
FIRST, SECOND, THIRD, *_ = COLOURS

_WIDTH_IN, _HEIGHT_IN, _DPI = 6.4, 3.6, 100
_LONGEST_LABEL = 40  # characters
_RC: Any = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "text.parse_math": False,  # what users wrote between two dollar signs is no formula,
    "text.usetex": False,  # and no program for TeX
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
    """Make a function draw in this style, whatever the process's own Matplotlib settings are."""

    @functools.wraps(draw)
    def drawing(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return drawing


def new_axes(width_in: float = _WIDTH_IN, height_in: float = _HEIGHT_IN, columns: int = 1, rows: int = 1) -> list[Axes]:
    """Return the empty axes of a new figure (`axes[0].figure`), row by row; to be called in a `styled` function.

    Args:
        width_in: Width of the figure in inches.
        height_in: Its height.
        columns: Axes beside each other.
        rows: Axes above each other.
    """
    figure = Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def as_label(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Return what somebody else wrote as one line of a picture, in which there is room for the numbers, too."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes are in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG on white.

    Without `savefig`, which draws twice: once to find out where everything is, and once more.
    """
    content = io.BytesIO()
    with _drawn_with(_RC):
        figure.set_facecolor("white")
        FigureCanvasAgg(figure).print_png(content)  # type: ignore[no-untyped-call]  # reason: Matplotlib leaves it out
    return content.getvalue()


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an `<svg>` element for an HTML page, without a background.

    The page gives `color` and the variable `--faint`. Without these, ink is black and the grid grey.

    Args:
        figure: The figure.
        name: What no other figure of the page is called; the identifiers inside begin with it.
    """
    content = io.BytesIO()
    with _drawn_with(_RC | {"svg.hashsalt": name}):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = content.getvalue().decode()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(FAINT, f"var(--faint, {FAINT})")
    # Identifiers are the page's, not the picture's.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


@contextlib.contextmanager
def _drawn_with(settings: Any) -> Iterator[None]:
    """Draw with these settings, and leave it to whoever reads a page to have letters that Matplotlib's font lacks."""
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield
