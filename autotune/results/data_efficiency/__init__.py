"""Data efficiency: the winner trained on growing parts of the rows, and the prediction at twice the rows.

In these modules a "curve" is a metric over numbers of rows.

fits       Power laws fitted by weighted least squares, to many curves at a time
noise      The noise of the trainings: the part that they share, and the part of each training
power_law  The error as a power law of the number of rows, with intervals
record     The stored data efficiency of a winner: trainings, law, and the prediction at twice the rows
measuring  Measure data efficiency: train a search's winner on nested fractions of the training rows
"""

from autotune.results.data_efficiency.measuring import FRACTIONS, learning_curve
from autotune.results.data_efficiency.power_law import PowerLaw
from autotune.results.data_efficiency.record import LearningCurve, read_learning_curve

__all__ = ["FRACTIONS", "LearningCurve", "PowerLaw", "learning_curve", "read_learning_curve"]
