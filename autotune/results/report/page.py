"""The HTML of the page, with its style and figures inside: sections, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autotune.escaping import as_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c1d22; --faint: #85878f; --line: #d9dae0;
  --raised: #f5f6f8; --link: #1d5fd1; --good: #1b7f56; --bad: #b3322c; }
@media (prefers-color-scheme: dark) { :root { --ground: #16171b; --ink: #e6e7eb; --faint: #8d909b; --line: #34363e;
  --raised: #1f2127; --link: #7aa7ff; --good: #57c896; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem;
  padding-top: .8rem; border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0; max-width: 48rem; } .faint, figcaption { color: var(--faint); font-size: .88rem; }
.answer { font-size: 1.08rem; background: var(--raised); border-left: 4px solid var(--link); padding: .7rem 1rem; }
.answer p { max-width: none; } a { color: var(--link); } nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem;
  margin: 1rem 0; font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; font-size: .9rem;
  font-variant-numeric: tabular-nums; } th, td { padding: .25rem .8rem .25rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line); } th { font-weight: 600; } td.number, th.number
  { text-align: right; white-space: nowrap; } tr.chosen td { font-weight: 600; }
figure { margin: .8rem 0; } figure svg { max-width: 100%; height: auto; display: block; } figure svg text
  { font-family: inherit !important; } .pictures { display: flex; flex-wrap: wrap; gap: .5rem 1rem; }
.pictures figure { flex: 1 1 20rem; max-width: 30rem; margin: 0; }
pre, code { font: .86rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; } pre { background:
  var(--raised); padding: .7rem .9rem; overflow-x: auto; border-radius: 4px; }
li { margin: .45rem 0; max-width: 48rem; }
p, li, h1, h3, figcaption { overflow-wrap: anywhere; }
.words { line-height: 2; } .words span { padding: .1em .15em; border-radius: 3px; }
@media print { html { font-size: 10.5px; } body { max-width: none; padding: 0; font-size: 1rem; } nav { display: none; }
  .wide { overflow: visible; } th, td { padding-right: .5rem; overflow-wrap: anywhere; }
  td.number, th.number { white-space: normal; } h2 { break-after: avoid; } figure, tr, li { break-inside: avoid; }
  pre { white-space: pre-wrap; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading; what it is called in the list at the top.
        body: HTML, safe to be shown.
    """

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """What links name it by."""
        return self.title.lower().replace(" ", "-")


def whole_page(title: str, head: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML.

    Args:
        title: Its title, plain text.
        head: HTML above the first section.
        sections: The sections in their order; those without a body are left out.
    """
    shown = [section for section in sections if section.body]
    links = "".join(f'<a href="#{section.anchor}">{as_html(section.title)}</a>' for section in shown)
    parts = "".join(
        f'<section id="{section.anchor}"><h2>{as_html(section.title)}</h2>{section.body}</section>\n'
        for section in shown
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{as_html(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{as_html(title)}</h1>{head}<nav>{links}</nav>\n{parts}</body></html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return plain text as a paragraph; `kind` is a class of the page's style."""
    return f'<p class="{kind}">{as_html(text)}</p>' if kind else f"<p>{as_html(text)}</p>"


def commands(lines: Iterable[str]) -> str:
    """Return lines to be typed."""
    return f"<pre>{as_html(chr(10).join(lines))}</pre>"


def items(lines: Iterable[tuple[str, str]]) -> str:
    """Return a list of sentences, each with what stands behind it."""
    listed = [f'<li>{as_html(text)}<br><span class="faint">{as_html(why)}</span></li>' for text, why in lines]
    return f"<ul>{''.join(listed)}</ul>" if listed else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], chosen: int | None = None) -> str:
    """Return a table; numbers stand to the right.

    Args:
        columns: The headings.
        rows: Text or numbers; None for an empty cell.
        chosen: Which row stands out; None for none.
    """
    numeric = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(columns))]
    kinds = [' class="number"' if one else "" for one in numeric]
    head = "".join(f"<th{kind}>{as_html(column)}</th>" for column, kind in zip(columns, kinds, strict=True))
    lines = [
        "".join(f"<td{kind}>{as_html(_cell(value))}</td>" for value, kind in zip(row, kinds, strict=True))
        for row in rows
    ]
    body = "".join(
        f'<tr class="chosen">{line}</tr>' if number == chosen else f"<tr>{line}</tr>"
        for number, line in enumerate(lines)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(figure: Figure, name: str, caption: str) -> str:
    """Return a figure with what there is to see in it.

    Args:
        figure: The figure.
        name: What no other picture of the page is called.
        caption: Plain text; also what is read aloud.
    """
    from autotune.figures import to_svg

    svg = to_svg(figure, name).replace("<svg ", f'<svg role="img" aria-label="{as_html(caption)}" ', 1)
    return f"<figure>{svg}<figcaption>{as_html(caption)}</figcaption></figure>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
