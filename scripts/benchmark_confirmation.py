"""How often the truly best configuration is found: by the search's maximum, and by training the best ones again.

A toy with known means: 30 configurations, one of which is better by 3.2 standard deviations of a single training, and
all of which can be lucky. Each run searches them with a seed of its own and finalizes with the defaults: the best 5
trials, 5 new seeds each. Every training is a trial in a process of its own, as in any study.

Usage: python scripts/benchmark_confirmation.py [--runs 100]

Measured with --runs 100 (seeds 0 to 99; 2 shared x86-64 cores, Optuna 5.0; six to eight minutes): the search's maximum
was the better configuration in 81 runs, the confirmed winner in 100 (commit 129e1a5, Python 3.11.7); again 85 and 99
(8c59042, Python 3.11.2). With two workers the order of trials, and so what is suggested, differs a little each time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import optuna

import autotune
from autotune.results.final import FinalResult

CONFIGURATIONS = 30
STUDY = """
import numpy as np
from autotune import StudySpec

def objective(trial):
    configuration = trial.suggest_int("configuration", 0, {last})
    # The seed of a training and its configuration decide its luck: two configurations never share it.
    luck = np.random.default_rng([np.random.randint(2**31), configuration]).normal()
    return {better} * (configuration == {best}) + luck

study = StudySpec(name="toy", objective=objective, direction="maximize", n_trials={last} + 1, seed={seed})
"""
BETTER = 3.2


def main() -> int:
    """Search and confirm, and print how often each way was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    right: Counter[str] = Counter()
    for seed in range(options.runs):
        right.update(_search_and_confirm(seed, best=(7 * seed + 3) % CONFIGURATIONS))
        print(f"{seed + 1} runs: {_shown(right)}", flush=True)
    print(f"\nThe better configuration was chosen in, of {options.runs} runs:\n  {_shown(right)}")
    return 0


def _search_and_confirm(seed: int, best: int) -> list[str]:
    """Return which of the two ways have chosen the better configuration."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.py"
        file.write_text(STUDY.format(last=CONFIGURATIONS - 1, better=BETTER, best=best, seed=seed))
        search = autotune.run(file, run_dir=folder, workers=2)
        result = autotune.finalize("toy", run_dir=folder, workers=2)
    assert isinstance(result, FinalResult)
    winner = result.confirmation.candidate(result.confirmation.winner)
    chosen = {"searched": search.best_params, "confirmed": winner.params}
    return [way for way, params in chosen.items() if params["configuration"] == best]


def _shown(right: Counter[str]) -> str:
    return f"by the search's maximum {right['searched']}, by confirmation {right['confirmed']}"


if __name__ == "__main__":
    raise SystemExit(main())
