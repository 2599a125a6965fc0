"""A model file with its card, and a trial that is trained again to the same numbers.

replaying  A finished trial, trained again: the same number, or the difference
exporting  A model and its card, for people who have neither the study nor this package
"""

from autotune.results.export.exporting import export
from autotune.results.export.replaying import ReplayedTrial, replay

__all__ = ["ReplayedTrial", "export", "replay"]
