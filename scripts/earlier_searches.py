"""Earlier searches on other tasks, and what a search learns from them, for the benchmark of searches.

An earlier search is one of ours that knows learning curves, on another development task, with a seed of its own. With
`worst` its trials count in the reverse order, so that a search begins with the worst of them: what does it cost to
learn what is wrong?
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence

import optuna
import search_methods
from lcbench import EPOCHS, Task
from simulated_search import Setting, simulate

from autotune.search.curves import Training
from autotune.search.transfer import Earlier, Origin, earlier_of, portfolio
from autotune.seeds import derive_seed

BUDGET = 250  # epochs of an earlier search
_N_SEEDS = 4  # of the earlier searches of a task


class EarlierSearches:
    """Searches on tasks, each made when it is first needed.

    Args:
        tasks: The tasks, by name.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._made: dict[tuple[str, int], Earlier] = {}

    def origins(self, name: str, seed: int, n: int, worst: bool) -> Sequence[Origin]:
        """Return what a search on a task learns from `n` earlier searches on other tasks, drawn by chance.

        Args:
            name: The task.
            seed: The seed of the search.
            n: How many earlier searches there are, each on a task of its own.
            worst: Whether the worst trials of the earlier searches count as their best.
        """
        drawn = random.Random(derive_seed(seed, "earlier", name))
        others = drawn.sample([other for other in self._tasks if other != name], n)
        found = [self._search(other, drawn.randrange(_N_SEEDS)) for other in others]
        return portfolio([_turned(one) for one in found] if worst else found, self._tasks[name].space)

    def _search(self, name: str, seed: int) -> Earlier:
        if (name, seed) not in self._made:
            task = self._tasks[name]
            searching = search_methods.curves(task.space, derive_seed(seed, "earlier search", name))
            assert isinstance(searching, search_methods.OptunaMethod)
            simulate(searching, task, Setting(BUDGET, (BUDGET,)))
            study = optuna.create_study(direction="maximize", study_name=name)
            study.add_trials(searching.ended)
            earlier = earlier_of(study, Training(EPOCHS))
            assert earlier is not None
            self._made[name, seed] = earlier
        return self._made[name, seed]


def _turned(earlier: Earlier) -> Earlier:
    """Return an earlier search that takes its worst trials for its best."""
    return dataclasses.replace(
        earlier,
        numbers=earlier.numbers[::-1],
        configurations=earlier.configurations[::-1],
        belief=None,
    )
