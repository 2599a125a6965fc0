"""Train on several batches in one call of TensorFlow: the way through Python and `tf.data` costs milliseconds a time.

The numbers are those of single batches, to the last bit, but for a callback that changes something between batches and
is content with groups (`groups_from`), such as a schedule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from autotune.training.batches import Batches

_GROUP = 16
_GROUP_BYTES = 2**25  # of a group's rows; larger batches gain nothing, and would take memory
_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
_STEPS = ("train_step", "test_step", "compute_metrics", "make_train_function", "make_test_function")
_BY_BATCHES = ("class_weight", "validation_steps")

Rows = tuple[Any, Any]


@contextlib.contextmanager
def in_groups(
    model: keras.Model,
    training: Batches,
    validation: Batches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    arguments: Sequence[str] = (),
) -> Iterator[tuple[Any, Any]]:
    """Let `fit` train and validate on groups of batches while the block lasts, where nothing has to see each of them.

    Args:
        model: A compiled model; what its `compile` was told stays as it is.
        training: The rows to train on.
        validation: Those to validate on; None for none.
        callbacks: Those of the training. One that does something at batches has to see each, unless it is content with
            groups in epochs of this many batches (`groups_from`).
        arguments: The names of the other arguments of `fit`.

    Yields:
        What `fit` is to be given as `x` and `validation_data`.
    """
    size = group_size(model, training, callbacks, arguments)
    if size == 1:
        yield training, validation
        return
    with ThreadPoolExecutor(1, "rows") as pool:
        model.steps_per_execution = size
        model.train_function = _Groups(model, model.train_step, training, size, pool)
        if validation is not None:
            model.test_function = _Groups(model, model.test_step, validation, size, pool)
        try:
            yield _counting(len(training)), None if validation is None else _counting(len(validation))
        finally:
            model.steps_per_execution = 1
            model.train_function = model.test_function = None


def group_size(
    model: keras.Model, batches: Batches, callbacks: Sequence[keras.callbacks.Callback], arguments: Sequence[str] = ()
) -> int:
    """Return how many batches to train on in one call: 1 where something has to see each of them.

    Args: See `in_groups`.
    """
    plain = all(getattr(type(model), name) is getattr(keras.Model, name) for name in _STEPS)
    if not plain or model.steps_per_execution != 1 or model.run_eagerly or tf.distribute.has_strategy():
        return 1
    if set(arguments) & set(_BY_BATCHES) or any(_needs_each(callback, len(batches)) for callback in callbacks):
        return 1
    return max(1, min(_GROUP, len(batches), _GROUP_BYTES // batches.batch_bytes))


class _Groups:
    """Stands for the function that `fit` and `evaluate` call for each step: it takes a group, and gets the next one.

    Args:
        model: What is trained.
        step: From a batch to changed weights and metrics: `train_step` or `test_step`.
        batches: The rows.
        size: Batches a group, at least 1.
        pool: What gets the rows of the next group while TensorFlow trains on one.
    """

    def __init__(
        self, model: keras.Model, step: Callable[[Rows], Any], batches: Batches, size: int, pool: ThreadPoolExecutor
    ) -> None:
        self._model = model
        self._step = tf.function(step, jit_compile=True, autograph=False) if model.jit_compile else step
        self._batches = batches
        self._size = size
        self._pool = pool
        self._epoch: object = None
        self._first = 0
        self._next: Future[Rows]
        self._run: Callable[[Any, Any], dict[str, tf.Tensor]] | None = None

    def __call__(self, epoch: object) -> dict[str, tf.Tensor]:
        """Take the next group of an epoch, which is told from others by the iterator that Keras makes for it."""
        if epoch is not self._epoch:
            self._epoch, self._first = epoch, 0
            self._next = self._pool.submit(self._group, 0)
        rows = self._next.result()
        self._first += self._size
        if self._first < len(self._batches):
            self._next = self._pool.submit(self._group, self._first)
        if self._run is None:
            self._run = self._traced(rows)
        return self._run(*rows)

    def _group(self, first: int) -> Rows:
        x, y = self._batches.group(first, self._size)
        return tf.convert_to_tensor(x), tf.convert_to_tensor(y)

    def _traced(self, like: Rows) -> Callable[[Any, Any], dict[str, tf.Tensor]]:
        n = self._batches.batch_size

        def run(x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
            def body(begin: tf.Tensor) -> tf.Tensor:
                self._step((x[begin : begin + n], y[begin : begin + n]))
                return begin + n

            tf.while_loop(lambda begin: begin < tf.shape(y)[0], body, [tf.constant(0)], parallel_iterations=1)
            return dict(self._model.get_metrics_result())

        specs = [tf.TensorSpec((None, *rows.shape[1:]), rows.dtype) for rows in like]
        return tf.function(run, input_signature=specs, autograph=False)  # type: ignore[no-any-return]  # reason: untyped


def _counting(n: int) -> tf.data.Dataset:
    """Return a dataset of `n` numbers: Keras goes by it to know when an epoch ends, the rows come from elsewhere."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.range(n).with_options(options)


def _needs_each(callback: keras.callbacks.Callback, n_batches: int) -> bool:
    kind, plain = type(callback), keras.callbacks.Callback
    if n_batches >= getattr(callback, "groups_from", n_batches + 1):
        return False
    return any(name in vars(callback) or getattr(kind, name) is not getattr(plain, name) for name in _HOOKS)
