"""Training of one Keras trial on all folds, and the rehearsal before the first trial of a study.

All modules need Keras, so only trial processes import them.

trial      Train one trial: build its model, train it on each fold in turn, and return its score
rehearsal  Checks before the first trial: can its network be checkpointed, saved and loaded?
"""

from autotune.training.trials.rehearsal import rehearse
from autotune.training.trials.trial import train_trial

__all__ = ["rehearse", "train_trial"]
