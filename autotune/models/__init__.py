"""Builders for study files: plain values and the data's shape in, a compiled Keras model out.

cnn  A convolutional network for images
"""

from autotune.models.cnn import Pooling, build_cnn

__all__ = ["Pooling", "build_cnn"]
