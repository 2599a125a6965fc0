"""Training of one network on one fold, epoch by epoch.

The numbers equal those of plain `keras.Model.fit`, bit for bit. All modules need Keras.

device          TensorFlow's settings in a trial process, made before TensorFlow touches a device
phases          A callback that tells the timer what Keras does: tracing, training, validation
batch_function  The study file's `batch`: it changes each batch of training
batches         Batches of rows for Keras, in an order that depends only on a seed and an epoch
building        Build a trial's network with all its variables before it is trained
grouping        Train on several batches in one call of TensorFlow, to save time
arguments       Checks of the arguments for `keras.Model.fit` that a study file's `fit` returns
measured        The metrics and weights of an epoch before other callbacks change them
scores          Scores that Keras does not compute: the study file's `score`
unvalidated     A wrapper for callbacks in a training without validation rows
epoch_keeper    The work between two epochs: seeds, history, best epoch, checkpoint, report, pruning
"""

from autotune.training.fitting.arguments import Stage, prepare_stage, stages_of
from autotune.training.fitting.batch_function import BatchFunction
from autotune.training.fitting.batches import (
    KERAS_BATCH_SIZE,
    Batches,
    first_rows,
    fixed_batch_size,
    in_tensors,
    rows_at_a_time,
)
from autotune.training.fitting.building import (
    build_metrics,
    built_model,
    can_be_evaluated,
    compiled_metrics,
    overrides,
    shared,
)
from autotune.training.fitting.device import configure_tensorflow
from autotune.training.fitting.epoch_keeper import (
    EpochKeeper,
    MadeOf,
    assign,
    make_variables,
    restore,
    train_step,
    value_of,
)
from autotune.training.fitting.grouping import group_size, in_groups
from autotune.training.fitting.measured import Measured, compare
from autotune.training.fitting.phases import PhaseWatch
from autotune.training.fitting.scores import Scores, check_scores, scores_of
from autotune.training.fitting.unvalidated import Unvalidated

__all__ = [
    "KERAS_BATCH_SIZE",
    "BatchFunction",
    "Batches",
    "EpochKeeper",
    "MadeOf",
    "Measured",
    "PhaseWatch",
    "Scores",
    "Stage",
    "Unvalidated",
    "assign",
    "build_metrics",
    "built_model",
    "can_be_evaluated",
    "check_scores",
    "compare",
    "compiled_metrics",
    "configure_tensorflow",
    "first_rows",
    "fixed_batch_size",
    "group_size",
    "in_groups",
    "in_tensors",
    "make_variables",
    "overrides",
    "prepare_stage",
    "restore",
    "rows_at_a_time",
    "scores_of",
    "shared",
    "stages_of",
    "train_step",
    "value_of",
]
