"""Pictures of numbers, drawn by Matplotlib: PNG for the dashboard, SVG for pages.

Numbers in, a picture out: nothing here knows of studies. Matplotlib takes time to import, so import this room late.

style            One look for all pictures. As SVG they take their ink from the page
search           A search as a whole: its values over time, its learning curves, where its time went
hyperparameters  What hyperparameters do
data_efficiency  A metric against the number of training rows
confusion        A confusion matrix: blue for what is right, orange for what is taken for something else
epochs           Learning curves: the monitored metric and the loss over the epochs, on training and validation rows
predictions      Numbers as they were predicted, against what they are
attributions     Rows beside what a model looks at in them
features         Rows of a table beside what a model looks at in them: a bar for each feature, named with its value
words            Words of a text on the colours of what they contribute, as HTML
"""

from autotune.figures.attributions import Overlay, can_draw, draw_attributions
from autotune.figures.confusion import draw_confusion
from autotune.figures.data_efficiency import FittedCurve, draw_data_efficiency
from autotune.figures.epochs import learning_curve
from autotune.figures.features import Bars, draw_features
from autotune.figures.hyperparameters import Tried, effect, importance_bars, interaction, parallel_coordinates
from autotune.figures.predictions import draw_predictions
from autotune.figures.search import Finished, all_curves, history, time_spent
from autotune.figures.style import as_label, to_png, to_svg
from autotune.figures.words import coloured_words

__all__ = [
    "Bars",
    "Finished",
    "FittedCurve",
    "Overlay",
    "Tried",
    "all_curves",
    "as_label",
    "can_draw",
    "coloured_words",
    "draw_attributions",
    "draw_confusion",
    "draw_data_efficiency",
    "draw_features",
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
