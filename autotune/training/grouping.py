"""How many batches TensorFlow trains on in one call: the way back to Python costs a millisecond or two each time.

The numbers are the same to the last bit, but for a callback that changes something between batches and is content with
groups (`takes_groups`), such as a schedule. On a CPU core, 10,800 rows of MNIST and the article's network took 1.84 s
in groups of 16 batches and 2.19 s one by one (batches of 64; with batches of 32, 2.10 and 2.59 s; medians of two
trainings of two epochs each, in turn). To trace a group takes 0.2 s more, which is why short epochs are left alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras

_GROUP = 16
_FEWEST_BATCHES = 64  # of an epoch, for groups to save more than their tracing takes
_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def group_size(model: keras.Model, n_batches: int, callbacks: Sequence[keras.callbacks.Callback]) -> int:
    """Return how many batches to train on in one call: 1 where somebody has to see each of them.

    Args:
        model: A compiled model; what its `compile` was told stays as it is.
        n_batches: How many batches an epoch has.
        callbacks: Those of the training. One that does something at batches, and not at groups of them too
            (`takes_groups = True`), has to see each.
    """
    if model.steps_per_execution != 1 or model.run_eagerly or n_batches < _FEWEST_BATCHES:
        return int(model.steps_per_execution)
    return 1 if any(_needs_each_batch(callback) for callback in callbacks) else _GROUP


@contextlib.contextmanager
def in_groups(model: keras.Model, size: int) -> Iterator[None]:
    """Let `fit` train on groups of `size` batches while the block lasts."""
    before = model.steps_per_execution
    if size == before:
        yield
        return
    model.steps_per_execution = size
    try:
        yield
    finally:
        model.steps_per_execution = before
        model.train_function = model.test_function = None  # traced for groups


def _needs_each_batch(callback: keras.callbacks.Callback) -> bool:
    if getattr(callback, "takes_groups", False):
        return False
    kind, plain = type(callback), keras.callbacks.Callback
    return any(name in vars(callback) or getattr(kind, name) is not getattr(plain, name) for name in _HOOKS)
