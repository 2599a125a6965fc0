"""A sampler and a pruner that share a model of learning curves.

A suggestion depends only on the trials and the seed, so that an interrupted search ends with the same results.

kernel              Covariance of points on learning curves, and its gradient
cache               Caches for the model of a study; they save time and do not change results
scale               The scale on which the values of a study are standardized for the model of its curves
model               A Gaussian process over learning curves: fitted, conditioned on points, extended by more points
space               The search space as a unit cube, and as the columns between which the covariance measures distances
one_thread          Linear algebra on one thread, for matrices of a few hundred rows
training            The settings of a study's training that the model of its curves needs: epochs, cost of a start
data                The learning curves of a study's trials, thinned for the model
feasibility         The probability that a configuration trains without failing
belief              The state of the model before a decision: curves, Gaussian process, expected final values
proposals           The configuration with the largest expected improvement on the best curve's final value
looks               The value of training a trial further: expected improvement for each epoch that it costs
sampler_and_pruner  `CurveSampler` and `CurvePruner`, which use the model of learning curves
"""

from autotune.search.curves.belief import Belief, believe
from autotune.search.curves.one_thread import one_thread
from autotune.search.curves.sampler_and_pruner import (
    CurvePruner,
    CurveSampler,
    by_predicted_end,
    predicted_best,
    with_epoch_policy,
)
from autotune.search.curves.space import CurveSpace, searched
from autotune.search.curves.training import Training

__all__ = [
    "Belief",
    "CurvePruner",
    "CurveSampler",
    "CurveSpace",
    "Training",
    "believe",
    "by_predicted_end",
    "one_thread",
    "predicted_best",
    "searched",
    "with_epoch_policy",
]
