"""Measurements of trained networks: metrics on new rows, attributions, latency, and TensorBoard's event files.

All modules need Keras.

loading       Load a trained model: from its file, or where Keras cannot make it again, built anew
evaluating    Measure the metrics of a trained model on rows that it was not trained on
first_layers  The first layers of a model that make floats of words and whole numbers, by the input that they read
paths         Paths from a baseline to a row, along which all inputs of a model move together
attribution   Attributions by integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution", 2017)
latency       The time that a saved and loaded model takes to predict one row
tensorboard   Event files for TensorBoard: epochs by Keras's own callback, hyperparameters by the HParams plugin
"""

from autotune.training.inspection.attribution import Attribution, integrated_gradients
from autotune.training.inspection.evaluating import measure
from autotune.training.inspection.latency import measure_latency_ms
from autotune.training.inspection.loading import is_of_own_class, load_trained, save_weights
from autotune.training.inspection.tensorboard import TrialEvents

__all__ = [
    "Attribution",
    "TrialEvents",
    "integrated_gradients",
    "is_of_own_class",
    "load_trained",
    "measure",
    "measure_latency_ms",
    "save_weights",
]
