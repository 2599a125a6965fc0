"""The pictures of an explanation, as PNG files."""

from __future__ import annotations

import os
from pathlib import Path

from autotune.results.explanation.record import Explanation
from autotune.training.outputs import Findings, Picture, example_pictures, main_pictures


def pictures_of(findings: Findings) -> list[Picture]:
    """Return all pictures of the findings about an output: those of all rows, then those of single rows."""
    return [*main_pictures(findings), *example_pictures(findings)]


def write_pictures(explanation: Explanation) -> list[Path]:
    """Write the pictures as PNG into the explanation's folder, in the place of earlier ones, and return their paths.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    from autotune.figures import to_png

    pictures = [picture for findings in explanation.findings for picture in pictures_of(findings)]
    written = [_write(explanation.folder / f"{one.name}.png", to_png(one.figure)) for one in pictures]
    for earlier in set(explanation.folder.glob("*.png")) - set(written):
        earlier.unlink(missing_ok=True)
    return written


def _write(path: Path, content: bytes) -> Path:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
    return path
