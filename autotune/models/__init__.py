"""Functions for study files that build a compiled Keras model from plain values and the shape of the data.

cnn  A convolutional network for images
"""

from autotune.models.cnn import Pooling, build_cnn

__all__ = ["Pooling", "build_cnn"]
