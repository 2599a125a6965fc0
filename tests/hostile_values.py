"""Values that no run would write, and the folders around a storage that holds them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANARY = "the canary's own words"
"""What stands in files outside of the run dir: it is to be seen nowhere."""


@dataclass(frozen=True)
class Trap:
    """The folders around a hostile storage.

    Attributes:
        root: The folder of all.
        run_dir: The run dir in use; there is nothing in it of whoever wrote the storage.
        outside: A folder with files that nobody who looks is to read or change.
        evil: A run dir of somebody else's, full of links to these.
        study_file: A study file that leaves a file beside it when it is run.
    """

    root: Path
    run_dir: Path
    outside: Path
    evil: Path
    study_file: Path

    @property
    def url(self) -> str:
        """The storage's URL."""
        return f"sqlite:///{self.root / 'hostile.db'}"

    def was_run(self) -> bool:
        """Say whether somebody has run the study file."""
        return (self.root / "was-run").exists()


def new_trap(root: Path) -> Trap:
    """Make the folders."""
    trap = Trap(root, root / "runs", root / "outside", root / "evil", root / "study.py")
    trap.run_dir.mkdir()
    trap.outside.mkdir()
    for name in ("canary.txt", "canary.lock", "history.json", "model.keras"):
        (trap.outside / name).write_text(json.dumps([{CANARY: [1.0]}]), "utf-8")
    trap.study_file.write_text("from pathlib import Path\n\nPath(__file__).with_name('was-run').touch()\n", "utf-8")
    return trap


def values(trap: Trap) -> dict[str, Any]:
    """Return hostile values by what they are called: whatever JSON can say, and SQLite can hold."""
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    outside = str(trap.outside / "canary.txt")
    return {
        "null": None,
        "true": True,
        "zero": 0,
        "negative": -1,
        "fraction": 1.5,
        "huge-integer": 10**400,
        "huge-count": 10**17,
        "nan": float("nan"),
        "infinity": float("inf"),
        "empty-text": "",
        "space": " ",
        "number-text": "12",
        "long-text": "x" * 50_000,
        "lines": "first\nsecond\r\nthird\u2028fourth",
        "escape": "\x1b[2J\x1b]0;title\x07\x1b[31mred",
        "c1-escape": "\x9b2J",
        "backspace": "safe\x08\x08\x08\x08evil",
        "carriage": "safe\revil",
        "nul": "a\0b",
        "surrogate": "\ud800",
        "bidi": "a\u202eb\u2066c",
        "zero-width": "a\u200bb\ufeffc",
        "combining": "e" + "\u0301" * 300,
        "rich-close": "[/oops]",
        "rich-style": "[bold red on white]x[/]",
        "rich-link": "[link=file:///etc/passwd]x[/link]",
        "mathtext": "$\\frac{a}{$",
        "mathtext-two": "a $b_{$ c",
        "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "html-attribute": '" onmouseover="alert(1)\' x',
        "percent": "%s%n%d {0} {x!r} {}",
        "shell": "$(touch was-run); `touch was-run` | touch was-run",
        "sql": "'; DROP TABLE studies; --",
        "python": "__import__('os').system('touch was-run')",
        "parents": "../../../outside/canary.txt",
        "absolute": outside,
        "file-url": f"file://{outside}",
        "home": "~/.ssh/id_rsa",
        "device": "/dev/zero",
        "windows-path": "C:\\Windows\\win.ini",
        "list": [1, "a", None],
        "empty-list": [],
        "list-of-lists": [[[]], [[1.0, float("nan")]]],
        "deep-list": deep,
        "record": {"a": {"b": 1}},
        "empty-record": {},
        "record-of-escapes": {"\x1b[31m": "\x1b[0m", "[/x]": "$$"},
        "python-record": {"py/object": "os.system", "__reduce__": ["os.system", ["touch was-run"]]},
    }


RAW = ["", "{", "nul", "[1,", "NaN", "\x1b[2J", '{"a": 1}garbage', "[" * 100_000, b"\xff\xfe", 7, None]
"""What is no JSON at all, or none that can be read."""
