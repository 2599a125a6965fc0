"""The methods that are compared, and what each is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peers.journal import Journal
from peers.problems import Problem


@dataclass(frozen=True)
class Method:
    """A way to search, as a function `(search: Search) -> None` that goes on until its process is ended.

    Attributes:
        module: Where the function is; the module cannot be imported where the peer's package is missing.
        function: Its name.
        slots: How many trials it trains at a time; it has all cores.
        is_ours: Whether it is this package's.
        learns: Whether it begins with what an earlier search on other data has found.
    """

    module: str
    function: str
    slots: int
    is_ours: bool = False
    learns: bool = False


@dataclass(frozen=True)
class Search:
    """What a method is told.

    Attributes:
        problem: What to search.
        data_dir: Where its data are; None for Keras's own cache.
        seed: Where its chance comes from, and which rows are held out.
        slots: How many trials at a time.
        cores: How many cores there are for all of them.
        folder: An empty folder for its files.
        journal: Where it notes what it reaches.
        earlier: The earlier study, "URL#NAME", for a method that learns; "" for none.
    """

    problem: Problem
    data_dir: Path | None
    seed: int
    slots: int
    cores: int
    folder: Path
    journal: Journal
    earlier: str = ""


METHODS = {
    "optuna": Method("peers.optuna_script", "search", 1),
    "keras-tuner-hyperband": Method("peers.keras_tuner_search", "hyperband", 1),
    "keras-tuner-bayesian": Method("peers.keras_tuner_search", "bayesian", 1),
    "ray-1": Method("peers.ray_tune", "search", 1),
    "ray-2": Method("peers.ray_tune", "search", 2),
    "autotune-1": Method("peers.ours", "as_declared", 1, is_ours=True),
    "autotune-2": Method("peers.ours", "as_declared", 2, is_ours=True),
    "autotune-curves-1": Method("peers.curves", "search", 1, is_ours=True),
    "autotune-curves-2": Method("peers.curves", "search", 2, is_ours=True),
    "autotune-curves-learned": Method("peers.curves", "search", 2, is_ours=True, learns=True),
}
