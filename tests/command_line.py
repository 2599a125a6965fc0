"""The command line, for tests: in this process, where one server serves the trials of all commands, or in another."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from unittest.mock import patch

from autotune.cli import main

Result = subprocess.CompletedProcess[str]


def autotune(*arguments: str | Path) -> Result:
    """Do what `autotune ARGUMENTS` does, in this process, without a standard input."""
    with ExitStack() as stack:
        stdin = stack.enter_context(open("/dev/null"))
        stdout, stderr = (stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(2))
        with patch("sys.stdin", stdin), redirect_stdout(stdout), redirect_stderr(stderr):
            try:
                code = main([*map(str, arguments)])
            except SystemExit as ended:  # of argparse
                code = int(ended.code or 0)
        printed = []
        for stream in (stdout, stderr):
            stream.seek(0)
            printed.append(stream.read())
    return Result(["autotune", *map(str, arguments)], code, *printed)


def autotune_process(*arguments: str | Path) -> Result:
    """Run `autotune ARGUMENTS` in a process of its own, without a standard input."""
    command = [sys.executable, "-m", "autotune", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
