"""Figures of plain numbers, drawn with Matplotlib: PNG for the dashboard, SVG for HTML pages.

Each function takes numbers and returns a figure; it knows nothing of studies. Matplotlib takes time to import, so
import this room late.

style            The common style of all figures; in SVG they take their text colour from the page
search           Figures of a whole search: values over time, learning curves, time spent
hyperparameters  Figures of hyperparameters: importance, effect, interaction, parallel coordinates
data_efficiency  Data efficiency: a metric against the number of training rows
confusion        A confusion matrix: blue for correct predictions, orange for mistakes
epochs           Learning curves: the monitored metric and the loss over the epochs, on training and validation rows
predictions      Predicted numbers against true ones, labels found and missed, forecasts beside what came
pictures         Images and masks beside each other: what a model is given, what should come out, and what does
attributions     Images and spectrograms next to their attributions
features         Rows of a table with their attributions: a bar for each feature
words            Texts with their attributions as HTML: the background of each word shows what it contributes
"""

from autotune.figures.attributions import Overlay, can_draw, draw_attributions
from autotune.figures.confusion import draw_confusion
from autotune.figures.data_efficiency import FittedCurve, draw_data_efficiency
from autotune.figures.epochs import learning_curve
from autotune.figures.features import Bars, draw_features
from autotune.figures.hyperparameters import Tried, effect, importance_bars, interaction, parallel_coordinates
from autotune.figures.pictures import Beside, draw_beside
from autotune.figures.predictions import MOST_COLUMNS, Forecast, draw_forecasts, draw_labels, draw_predictions
from autotune.figures.search import Finished, all_curves, history, time_spent
from autotune.figures.style import as_label, to_png, to_svg
from autotune.figures.words import coloured_words

__all__ = [
    "MOST_COLUMNS",
    "Bars",
    "Beside",
    "Finished",
    "FittedCurve",
    "Forecast",
    "Overlay",
    "Tried",
    "all_curves",
    "as_label",
    "can_draw",
    "coloured_words",
    "draw_attributions",
    "draw_beside",
    "draw_confusion",
    "draw_data_efficiency",
    "draw_features",
    "draw_forecasts",
    "draw_labels",
    "draw_predictions",
    "effect",
    "history",
    "importance_bars",
    "interaction",
    "learning_curve",
    "parallel_coordinates",
    "time_spent",
    "to_png",
    "to_svg",
]
