"""Launch a study from Python and use what it found: the pattern for your own scripts and notebooks.

Usage: python scripts/launch_study.py STUDY_FILE [N_TRIALS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import autotune
from autotune.results.summary import best_trial

DIGITS = Path(__file__).resolve().parent.parent / "studies" / "digits_cnn.py"


def main(study_file: str = str(DIGITS), n_trials: str = "10") -> None:
    """Run a study and print its best hyperparameters."""
    study = autotune.run(study_file, n_trials=int(n_trials))  # an ordinary optuna.Study
    best = best_trial(study)
    if best is not None:
        print(f"{best.study}: {best.value:.6g} with {best.params}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except autotune.UsageError as error:
        sys.exit(str(error))
