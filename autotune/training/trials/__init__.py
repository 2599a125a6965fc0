"""Training of one Keras trial on all folds, and the rehearsal before the first trial of a study.

All modules need Keras, so only trial processes import them.

fold       Train one trial on one fold, stage after stage
trial      Train one trial on each fold in turn, and return its score
reloading  Check that a network can be saved and loaded again: it then predicts the same
mistakes   Mistakes of a study file that show before the first epoch
own_steps  Checks of a training step and a `score` of the study file's own: can an interrupted trial go on exactly?
rehearsal  Checks before the first trial: can its network be checkpointed, saved and loaded?
"""

from autotune.training.trials.rehearsal import rehearse
from autotune.training.trials.trial import TrialScore, train_trial

__all__ = ["TrialScore", "rehearse", "train_trial"]
