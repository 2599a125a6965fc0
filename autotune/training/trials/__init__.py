"""One trial, fold after fold; and what is tried before the first one.

All of it needs Keras: only trial processes import it.

trial      Train one trial: build its model, train it on each fold in turn, and say what that came to
rehearsal  What is tried before the first trial of a study
"""

from autotune.training.trials.rehearsal import rehearse
from autotune.training.trials.trial import train_trial

__all__ = ["rehearse", "train_trial"]
