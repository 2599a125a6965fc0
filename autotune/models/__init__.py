"""Builders for study files: plain values and the data's shape in, a compiled Keras model out."""

from autotune.models.cnn import build_cnn

__all__ = ["build_cnn"]
