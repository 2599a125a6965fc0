"""Optuna's samplers, seeded for each trial, so that an interrupted search suggests the same configurations.

infeasible   A view of a study that shows failed trials to samplers as infeasible ones
thinning     A sample of thousands of trials for TPE: the best ones, and enough of the others
feasibility  A model of which configurations run out of memory or time
seeded       Samplers whose suggestions depend only on the stored trials and the study's seed
"""

from autotune.search.samplers.seeded import SeededSampler, tpe

__all__ = ["SeededSampler", "tpe"]
