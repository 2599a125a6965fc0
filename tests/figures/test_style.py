"""Pictures in one look, legible on light and dark."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from autotune.figures.style import FAINT, INK, as_label, figure_of, new_axes, styled, to_png, to_svg


@styled
def draw() -> Figure:
    (axes,) = new_axes()
    axes.plot([1, 2, 3], [3.0, 1.0, 2.0], label="train", clip_on=True)
    axes.scatter([1, 2], [2.0, 3.0], color=FAINT)
    axes.legend()
    axes.set_xlabel("epoch")
    return figure_of(axes)


@pytest.fixture
def figure() -> Figure:
    return draw()


def test_a_png_is_one(figure: Figure) -> None:
    assert to_png(figure).startswith(b"\x89PNG")


def test_an_svg_takes_its_ink_from_the_page_and_needs_nothing_else(figure: Figure) -> None:
    svg = to_svg(figure, "curves")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert INK not in svg
    assert FAINT not in svg.replace(f"var(--faint, {FAINT})", "")
    assert "#ffffff" not in svg
    assert ">epoch</text>" in svg
    links = {link for link in re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg) for link in link if link}
    assert links
    assert all(link.startswith("#curves-") for link in links)
    assert {link[1:] for link in links} <= set(re.findall(r'id="([^"]*)"', svg))


def test_what_is_drawn_twice_is_the_same_picture() -> None:
    assert to_svg(draw(), "curves") == to_svg(draw(), "curves")


def test_drawing_leaves_the_settings_of_the_process_alone(figure: Figure) -> None:
    before = dict(matplotlib.rcParams)
    to_png(figure)
    to_svg(figure, "curves")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"$\x$", r"$\x$"),
        ("$a$ and $b", "$a$ and $b"),
        ("学習率", "学習率"),
        ("a\nb\x1b[2J\u202e\udcff", r"a\nb\x1b[2J\u202e\udcff"),
        ("[bold]", "[bold]"),
        ("x" * 1000, "x" * 39 + "…"),
    ],
    ids=ascii,
)
def test_what_users_wrote_is_drawn_as_it_is_and_no_formula(text: str, shown: str) -> None:
    @styled
    def drawn() -> Figure:
        (axes,) = new_axes()
        axes.set_xlabel(as_label(text))
        return figure_of(axes)

    svg = to_svg(drawn(), "curves")
    assert f">{shown}</text>" in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert to_png(drawn()).startswith(b"\x89PNG")
