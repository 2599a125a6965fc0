"""One network on one fold, epoch by epoch.

The numbers are those of plain `keras.Model.fit` to the bit. All of it needs Keras.

device        TensorFlow's settings in a trial process, made before anything touches a device
phases        Which of the phases of a trial Keras is in while it fits
batches       Rows for Keras, in an order that comes from a seed and an epoch alone
building      Build a trial's network whole, with all its variables, before it is trained
grouping      Train on several batches in one call of TensorFlow
arguments     What a study file's `fit` returns, checked: arguments of `keras.Model.fit`
measured      What an epoch was measured with
unvalidated   A study file's callbacks in a training that has no validation rows
epoch_keeper  What happens between two epochs: seeds, history, best epoch, checkpoint, report, pruning
"""

from autotune.training.fitting.arguments import fit_arguments
from autotune.training.fitting.batches import Batches
from autotune.training.fitting.building import build_metrics, built_model, compiled_metrics, shared
from autotune.training.fitting.device import configure_tensorflow
from autotune.training.fitting.epoch_keeper import EpochKeeper, train_step
from autotune.training.fitting.grouping import group_size, in_groups
from autotune.training.fitting.measured import Measured, compare
from autotune.training.fitting.phases import PhaseWatch
from autotune.training.fitting.unvalidated import Unvalidated

__all__ = [
    "Batches",
    "EpochKeeper",
    "Measured",
    "PhaseWatch",
    "Unvalidated",
    "build_metrics",
    "built_model",
    "compare",
    "compiled_metrics",
    "configure_tensorflow",
    "fit_arguments",
    "group_size",
    "in_groups",
    "shared",
    "train_step",
]
