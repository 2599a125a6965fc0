"""Export of models, and replay of trials.

replaying  Replay a finished trial: train it again, and compare its numbers
exporting  Export a model with its card, for people who have neither the study nor this package
"""

from autotune.results.export.exporting import export
from autotune.results.export.replaying import ReplayedTrial, replay

__all__ = ["ReplayedTrial", "export", "replay"]
