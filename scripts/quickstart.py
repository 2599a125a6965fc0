"""Tune the CNN on scikit-learn's digits in about two minutes, and compare the winner with the article's settings.

Usage: scripts/quickstart [--trials 16]
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

import optuna
from rich.console import Console

import autotune
from autotune.progress import new_progress
from autotune.results.summary import BestTrial, best_trial, study_status

ROOT = Path(__file__).resolve().parent.parent
RUN_DIR = Path(os.environ.get("AUTOTUNE_RUN_DIR") or ROOT / "runs").absolute()
TIME_S = 160  # installing aside, the whole is to take at most three minutes on two cores


def main() -> int:
    """Run the baseline and the search, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16, help="trials of the search (default: %(default)s)")
    n_trials = parser.parse_args().trials
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    deadline = time.monotonic() + TIME_S
    try:
        print("1. The baseline: the article's network and settings, on the same rows.", flush=True)
        baseline = _run("article_cnn.py", None, deadline)
        print("2. The search: TPE with pruning. Ctrl-C stops it; the same command goes on.", flush=True)
        search = _run("digits_cnn.py", n_trials, deadline)
    except KeyboardInterrupt:
        print("Stopped. Nothing is lost; go on with the same command.", file=sys.stderr)
        return 130
    except autotune.AutotuneError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, autotune.UsageError) else 1
    _print_result(best_trial(baseline), search)
    return 0


def _run(study_file: str, n_trials: int | None, deadline: float) -> optuna.Study:
    with new_progress(Console()) as progress:
        return autotune.run(
            ROOT / "studies" / study_file,
            n_trials=n_trials,
            timeout_s=max(1.0, deadline - time.monotonic()),
            run_dir=RUN_DIR,
            storage=f"sqlite:///{RUN_DIR / 'autotune.db'}",
            observer=progress,
        )


def _print_result(baseline: BestTrial | None, search: optuna.Study) -> None:
    status, best = study_status(search), best_trial(search)
    if baseline is None or best is None:
        print("\nThe time was over before the first trial was complete; run the same command again.")
        return
    print(f"\nBest val_accuracy: {best.value:.4f} (trial {best.trial}, best epoch {best.epoch})")
    for name, value in best.params.items():
        print(f"  {name} = {value!r}")
    verdict = "beaten" if best.value > baseline.value else "not beaten yet"
    print(f"Baseline, the article's settings on the same split: {baseline.value:.4f} ({verdict})")
    print(f"{status.complete} trials complete, {status.pruned} pruned. Model: {_path(Path(best.model or '-'))}")
    command = f"{_path(ROOT / '.venv' / 'bin' / 'autotune')}"
    print("\nWhere to look and how to go on:")
    print(f"  {command} dashboard --run-dir {_path(RUN_DIR)}")
    print(f"  {command} best digits-cnn --run-dir {_path(RUN_DIR)}")
    print(f"  {command} resume digits-cnn --trials 50 --run-dir {_path(RUN_DIR)}")


def _path(path: Path) -> str:
    """Return `path` as one would type it here."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))


if __name__ == "__main__":
    sys.exit(main())
