"""Configurations of earlier studies, with which a new study begins.

fitting     Configurations as another search space can have them: by name, with the nearest values
origin      The origin of a trial whose configuration comes from an earlier study
earlier     An earlier study: its configurations, the best first, and what it expects of others
guesses     Guesses of a study's author: first trials try them, and early suggestions lean towards them
taken_over  The trials of a study that began with configurations of earlier studies, and what these were worth
portfolio   The choice of a few configurations that are good in many earlier studies, and cover them
"""

from autotune.search.transfer.earlier import Earlier, earlier_of
from autotune.search.transfer.fitting import fitted
from autotune.search.transfer.guesses import Guess, Leaning, guess_of
from autotune.search.transfer.origin import Origin, origin_of
from autotune.search.transfer.portfolio import MOST_LEARNED, portfolio
from autotune.search.transfer.taken_over import TakenOver, taken_over, worth

__all__ = [
    "MOST_LEARNED",
    "Earlier",
    "Guess",
    "Leaning",
    "Origin",
    "TakenOver",
    "earlier_of",
    "fitted",
    "guess_of",
    "origin_of",
    "portfolio",
    "taken_over",
    "worth",
]
