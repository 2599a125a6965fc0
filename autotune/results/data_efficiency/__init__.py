"""What more training rows would bring: the winner on growing parts of its rows.

fits       Power laws fitted to learning curves by weighted least squares, many at a time
noise      How much the trainings of a learning curve differ by chance, from what they share and by themselves
power_law  How the error falls with the number of rows: a power law, fitted to a learning curve, and how sure it is
record     What a winner comes to on more and more training rows, and what twice of them should bring
measuring  How a search's winner learns from more rows: it is trained on nested fractions of the training rows
"""

from autotune.results.data_efficiency.measuring import FRACTIONS, learning_curve
from autotune.results.data_efficiency.power_law import PowerLaw
from autotune.results.data_efficiency.record import LearningCurve, read_learning_curve

__all__ = ["FRACTIONS", "LearningCurve", "PowerLaw", "learning_curve", "read_learning_curve"]
