"""Measurements of trained networks: metrics on new rows, attributions, latency, and TensorBoard's event files.

All modules need Keras.

evaluating   Load a saved model and measure its metrics on rows that it was not trained on
attribution  Attributions by integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution", 2017)
latency      The time that a saved and loaded model takes to predict one row
tensorboard  Event files for TensorBoard: epochs by Keras's own callback, hyperparameters by the HParams plugin
"""

from autotune.training.inspection.attribution import integrated_gradients
from autotune.training.inspection.evaluating import measure
from autotune.training.inspection.latency import measure_latency_ms
from autotune.training.inspection.tensorboard import TrialEvents

__all__ = ["TrialEvents", "integrated_gradients", "measure", "measure_latency_ms"]
