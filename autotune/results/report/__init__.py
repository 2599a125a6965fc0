"""One page that tells the story of a study.

It needs nothing from outside, and nothing in it is run that others wrote.

page     A page that needs nothing else: HTML with its style and its pictures inside, for screens and for paper
answer   The question, the answer in two sentences, and how sure it is
course   How the search went: values over epochs and time, learning curves, where the time went, what failed
origin   Where the numbers come from, and how to get them again
seen     What the model looks at and confuses, and whether more data would help
space    What the hyperparameters did: which matter, how, and with which others
writing  A report: one HTML file that needs nothing else, from finished records only, at any time in a search
"""

from autotune.results.report.writing import write_report

__all__ = ["write_report"]
