"""What a trained network does, and what it costs.

All of it needs Keras.

evaluating   Trained models, loaded and measured on rows that they were not trained on
attribution  What a model looks at: integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution", 2017)
latency      How long a network takes for one row, as whoever loads the exported model will find it
tensorboard  Event files for TensorBoard
"""

from autotune.training.inspection.attribution import integrated_gradients
from autotune.training.inspection.evaluating import measure
from autotune.training.inspection.latency import measure_latency_ms
from autotune.training.inspection.tensorboard import TrialEvents

__all__ = ["TrialEvents", "integrated_gradients", "measure", "measure_latency_ms"]
