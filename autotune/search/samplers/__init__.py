"""TPE and other samplers of Optuna's, seeded for each trial, so that a stop changes nothing.

infeasible   What samplers can learn from trials that are not complete, shown to them as they can read it
thinning     A study of thousands of trials as TPE is shown it: the best, and of the others enough
feasibility  Which configurations would run out of memory or time, guessed from those that did
seeded       Samplers whose suggestions depend on the stored trials and the study's seed, and on nothing else
"""

from autotune.search.samplers.seeded import SeededSampler, tpe

__all__ = ["SeededSampler", "tpe"]
