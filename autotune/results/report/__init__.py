"""The report of a study: one HTML page.

The page loads nothing from other places, and contains no scripts.

page     The HTML of the page, with its style and figures inside: sections, tables, figures
answer   The sections on the question, the answer, the winner and advice
course   The sections on the history of the search: values, learning curves, time, failures
origin   The section on versions, and the commands to repeat the study
seen     The sections on explanations of the model and on data efficiency
space    The sections on hyperparameters: importance, effects, all trials, search space
writing  Write the report of a study, at any time, from its stored records
"""

from autotune.results.report.writing import write_report

__all__ = ["write_report"]
