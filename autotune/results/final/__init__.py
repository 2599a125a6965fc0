"""The final result of a study: the best trials confirmed, the winner refitted and measured on the test rows once.

Each step can be interrupted and resumed. The test rows are read after all models have passed a trial measurement, and
only once.

statistics    Standard errors of means and of differences of means, for repeated trainings on the same rows
confirmation  Confirm the best trials: train each again with new seeds on new splits, and choose the winner
record        The stored final result of a study, and the claim to the test rows
opening       Measure models on the test rows, in a separate process: the only code that reads test rows
parts         Progress of the studies of repeats and refits, and a check of their options
finalizing    Finalize a search: confirm the best trials, refit the winner, open the test rows once
"""

from autotune.results.final.confirmation import BASELINE, Candidate, Confirmation, trained_again, values_of
from autotune.results.final.finalizing import finalize
from autotune.results.final.parts import Unfinished, check_at_least, what_is_left
from autotune.results.final.record import FinalResult, TestScore, read_result
from autotune.results.final.statistics import Estimate, estimate

__all__ = [
    "BASELINE",
    "Candidate",
    "Confirmation",
    "Estimate",
    "FinalResult",
    "TestScore",
    "Unfinished",
    "check_at_least",
    "estimate",
    "finalize",
    "read_result",
    "trained_again",
    "values_of",
    "what_is_left",
]
