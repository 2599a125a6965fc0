"""A log of any length keeps its beginning and its end, says what is missing, and is written to meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import autotune
from autotune.errors import StudyFailedError
from autotune.running.trial.trial_log import KEPT_BYTES, shorten

LINE = b"%08d: a line of what a trial prints, and nobody will ever read all of it\n"
N = 3 * KEPT_BYTES // len(LINE % 0)


def _missing(text: bytes) -> int:
    (found,) = re.findall(rb"\n\[ *(\d+) bytes were left out here", text)
    return int(found)


def test_a_short_log_is_left_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"few words\n")
    shorten(log)
    assert log.read_bytes() == b"few words\n"
    shorten(tmp_path / "none.txt")


def test_a_long_log_keeps_its_beginning_and_its_end_and_says_how_much_is_missing(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    whole = b"".join(LINE % n for n in range(N))
    log.write_bytes(whole)
    shorten(log)
    text = log.read_bytes()
    assert len(text) <= 2 * KEPT_BYTES + 200
    assert text.startswith(whole[:KEPT_BYTES])
    end = text.rpartition(b"]\n\n")[2]
    assert whole.endswith(b"\n" + end)
    assert len(end) > KEPT_BYTES - len(LINE % 0)
    assert _missing(text) == len(whole) - KEPT_BYTES - len(end)


def test_a_log_that_grows_is_shortened_again_by_whoever_writes_to_it_knows_nothing_of(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    written = 0
    with log.open("ab", buffering=0) as file:
        for _ in range(4):
            written += file.write(b"".join(LINE % n for n in range(N)))
            shorten(log)
        written += file.write(b"the last words")
    text = log.read_bytes()
    end = text.rpartition(b"]\n\n")[2]
    assert end.endswith(LINE % (N - 1) + b"the last words")
    assert _missing(text) == written - KEPT_BYTES - len(end)


def test_a_log_without_lines_is_shortened_too(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"." * 5 * KEPT_BYTES)
    shorten(log)
    assert _missing(log.read_bytes()) == 3 * KEPT_BYTES


def test_the_log_of_a_trial_that_prints_much_and_is_killed_has_its_first_and_its_last_words(
    study_file: Callable[..., Path], run_dir: Path
) -> None:
    code = """
        import subprocess

        def objective(trial):
            print("the first words")
            subprocess.run(["head", "-c", str(20 << 20), "/dev/zero"], check=True)
            print("the last words")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    options = "'max_failures_in_a_row': 1, 'max_retries': 0"
    with pytest.raises(StudyFailedError):
        autotune.run(study_file(code, options), run_dir=run_dir, workers=1)
    text = (run_dir / "toy" / "trials" / "00000" / "log.txt").read_bytes()
    assert len(text) <= 2 * KEPT_BYTES + 200
    assert b"the first words\n" in text[:200]
    assert _missing(text) > 17 << 20
    assert text.endswith(b"the last words\n")
