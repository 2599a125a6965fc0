"""Training of one trial: build its model, train it on each fold, report and checkpoint each epoch, prune.

Most of these rooms import Keras, and only trial processes import them; the others say so.
"""
