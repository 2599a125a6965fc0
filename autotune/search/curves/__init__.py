"""The sampler and the pruner that know learning curves.

A suggestion depends on the trials and the seed alone, so that a search that was stopped goes on to the same end.

kernel              Covariance of points on learning curves, and its gradient
cache               What the model of a study need not compute again. Results are the same without it, only later
scale               How the values of a study are standardized for a model of its curves
model               A Gaussian process over learning curves: fitted, conditioned on points, extended by more of them
space               A study's search space as a cube, and as the columns that a covariance measures distances in
one_thread          Linear algebra on one thread, for matrices of a few hundred rows
training            How the trials of a study train, as far as a model of their curves has to know it
data                The learning curves of a study's trials, thinned for a model of them
belief              What is believed of a study: its curves, a model of them, and what each is expected to end at
proposals           The configuration whose curve is expected to improve most on the best one's end
looks               What it is worth to train a trial further, for each epoch that it takes
sampler_and_pruner  A sampler and a pruner that know learning curves
"""

from autotune.search.curves.sampler_and_pruner import CurvePruner, CurveSampler, predicted_best, with_epoch_policy
from autotune.search.curves.space import CurveSpace, searched

__all__ = ["CurvePruner", "CurveSampler", "CurveSpace", "predicted_best", "searched", "with_epoch_policy"]
