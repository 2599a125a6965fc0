"""From the best trials to one result: confirmed over seeds, refitted, measured on the test rows once.

Each step can be stopped and goes on. The test rows are opened after all models have been tried, and never again.

statistics    How sure a mean and a difference of means are, where the same rows were trained on again and again
confirmation  Which of the best trials is best, when each is trained again with new seeds on new splits
record        The final result of a study, as its storage keeps it
opening       The one door to the test rows: models are measured on them in a process of its own, once a study is over
parts         Studies beside a search, whose trials train its configurations again
finalizing    From a search to its final result: confirm the best trials, refit the winner, open the test rows once
"""

from autotune.results.final.confirmation import BASELINE, Candidate, Confirmation, trained_again, values_of
from autotune.results.final.finalizing import finalize
from autotune.results.final.parts import Unfinished, check_at_least, what_is_left
from autotune.results.final.record import FinalResult, TestScore, read_result
from autotune.results.final.statistics import Design, Estimate, design_of, estimate

__all__ = [
    "BASELINE",
    "Candidate",
    "Confirmation",
    "Design",
    "Estimate",
    "FinalResult",
    "TestScore",
    "Unfinished",
    "check_at_least",
    "design_of",
    "estimate",
    "finalize",
    "read_result",
    "trained_again",
    "values_of",
    "what_is_left",
]
