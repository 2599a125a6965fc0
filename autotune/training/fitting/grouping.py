"""Train on several batches in one call of TensorFlow: the way through Python and `tf.data` costs milliseconds a time.

The numbers are those of single batches, to the last bit, but for a callback that changes something between batches and
is content with groups (`groups_from`), such as a schedule. A callback may freeze layers, compile anew and have Keras
make its functions anew: from then on each batch goes Keras's own way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from autotune.training.fitting.batches import Batches

_GROUP = 16
_GROUP_BYTES = 2**25  # of a group's rows; larger batches gain nothing, and would take memory
_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
# What a model does in its own way is left to it.
_OWN = ("fit", "evaluate", "train_step", "test_step", "compute_metrics", "make_train_function", "make_test_function")
_BY_BATCHES = {"class_weight", "validation_steps"}
_NUMBER = tf.TensorSpec((), tf.int64)

Rows = tuple[Any, Any]
Call = Callable[..., dict[str, tf.Tensor]]


def group_size(
    model: keras.Model,
    training: Batches,
    validation: Batches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    arguments: Collection[str] = (),
) -> int:
    """Return how many batches to train on in one call: 1 where something has to see each of them.

    Args:
        model: A compiled model.
        training: The rows to train on.
        validation: Those to validate on; None for none.
        callbacks: Those of the training. One that does something at batches has to see each, unless it is content with
            groups in epochs of this many batches (`groups_from`).
        arguments: The names of the other arguments of `fit`.
    """
    kind = type(model)
    is_plain = all(getattr(kind, name) is getattr(keras.Model, name) and name not in vars(model) for name in _OWN)
    is_here = not tf.distribute.has_strategy() and model.distribute_strategy is tf.distribute.get_strategy()
    is_debugged = model.run_eagerly or tf.config.functions_run_eagerly() or keras.config.max_steps_per_epoch()
    if not is_plain or not is_here or is_debugged or model.steps_per_execution != 1:
        return 1
    if not _BY_BATCHES.isdisjoint(arguments) or any(_needs_each(callback, len(training)) for callback in callbacks):
        return 1
    batch_bytes = max(rows.batch_bytes for rows in (training, validation) if rows is not None)
    return max(1, min(_GROUP, len(training), _GROUP_BYTES // batch_bytes))


@contextlib.contextmanager
def in_groups(
    model: keras.Model, training: Batches, validation: Batches | None, size: int
) -> Iterator[tuple[Any, Any]]:
    """Let `fit` train and validate on groups of batches while the block lasts.

    Args:
        model: A compiled model; what its `compile` was told stays as it is.
        training: The rows to train on.
        validation: Those to validate on; None for none.
        size: Batches a group, as `group_size` says.

    Yields:
        What `fit` is to be given as `x` and `validation_data`.
    """
    if size == 1:
        yield training, validation
        return
    with ThreadPoolExecutor(1, "rows") as pool:
        model.steps_per_execution = size
        groups = [_Groups("train", model, training, size, pool)]
        if validation is not None:
            groups.append(_Groups("test", model, validation, size, pool))
        for group in groups:
            group.take_the_place()
        model.compile = partial(_compile, model, size)
        model.predict_function = None  # one that was made for single batches would leave rows out
        try:
            yield _counting(len(training)), None if validation is None else _counting(len(validation))
        finally:
            del model.compile
            for group in groups:
                group.give_back()
            model.steps_per_execution = 1
            model.train_function = model.test_function = model.predict_function = None


def _compile(model: keras.Model, size: int, *given: Any, **named: Any) -> None:
    """Compile `model` anew while it trains in groups: Keras goes on to count in groups."""
    type(model).compile(model, *given, **named)
    model.steps_per_execution = size


class _Groups:
    """Stands for the function that `fit` and `evaluate` call for each step: it takes a group, and gets the next one.

    Args:
        kind: "train" or "test".
        model: What is trained or tested.
        batches: The rows.
        size: Batches a group, at least 1.
        pool: What gets the rows of the next group while TensorFlow trains on one.
    """

    def __init__(self, kind: str, model: keras.Model, batches: Batches, size: int, pool: ThreadPoolExecutor) -> None:
        self._kind = kind
        self._model = model
        self._batches = batches
        self._size = size
        self._pool = pool
        self._epoch: object = None
        self._first = 0
        self._next: Future[Rows]
        self._run: Call | None = None
        self._of_keras: Call | None = None

    def take_the_place(self) -> None:
        """Be what Keras calls from now on, whoever has it made anew."""
        setattr(self._model, f"{self._kind}_function", self)
        setattr(self._model, f"make_{self._kind}_function", self._make)

    def give_back(self) -> None:
        """Let Keras make its own function again."""
        delattr(self._model, f"make_{self._kind}_function")

    def __call__(self, epoch: Any) -> dict[str, tf.Tensor]:
        """Take the next group of an epoch, which is told from others by the iterator that Keras makes for it."""
        if getattr(epoch, "element_spec", None) != _NUMBER:  # of other rows: a callback has called `evaluate`
            return self._by_keras(epoch)
        if epoch is not self._epoch:
            self._epoch, self._first = epoch, 0
            self._next = self._pool.submit(self._group, 0)
        x, y = self._next.result()
        if self._is_told_to_end():
            x, y = x[: self._batches.batch_size], y[: self._batches.batch_size]
        self._first += self._size
        if self._first < len(self._batches):
            self._next = self._pool.submit(self._group, self._first)
        if self._run is None:
            self._run = self._traced((x, y)) if self._has_variables() else self._each
        return self._run(x, y)

    def _is_told_to_end(self) -> bool:
        """Say whether Keras asks after this step no more: it then is to be of one batch, as without groups."""
        name = {"train": "stop_training", "test": "stop_evaluating"}[self._kind]
        return bool(getattr(self._model, name, False))

    def _has_variables(self) -> bool:
        """Say whether the optimizer has its variables: one that a callback has put in place may not."""
        return self._kind == "test" or self._model.optimizer is None or bool(self._model.optimizer.built)

    def _make(self, force: bool = False) -> Any:
        """Stand for Keras's own way to make its function: what it is made of may have changed, so that it is made."""
        current = getattr(self._model, f"{self._kind}_function")
        if current is not None and not force:
            return current
        anew = _Groups(self._kind, self._model, self._batches, self._size, self._pool)
        anew._of_keras = self._made_by_keras()
        anew._run = anew._each
        anew.take_the_place()
        return None

    def _made_by_keras(self) -> Call:
        getattr(type(self._model), f"make_{self._kind}_function")(self._model, force=True)
        made: Call = getattr(self._model, f"{self._kind}_function")
        self.take_the_place()
        return made

    def _by_keras(self, rows: Any) -> dict[str, tf.Tensor]:
        if self._of_keras is None:
            self._of_keras = self._made_by_keras()
        return self._of_keras(rows)

    def _each(self, x: Any, y: Any) -> dict[str, tf.Tensor]:
        """Take the batches of a group one after the other, as Keras does."""
        n = self._batches.batch_size
        for begin in range(0, len(y), n):
            logs = self._by_keras(iter([(x[begin : begin + n], y[begin : begin + n])]))
        return logs

    def _group(self, first: int) -> Rows:
        x, y = self._batches.group(first, self._size)
        return tf.convert_to_tensor(x), tf.convert_to_tensor(y)

    def _traced(self, like: Rows) -> Call:
        n, step = self._batches.batch_size, getattr(self._model, f"{self._kind}_step")
        if self._model.jit_compile:
            step = tf.function(step, jit_compile=True, autograph=False)

        def run(x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
            def body(begin: tf.Tensor) -> tf.Tensor:
                step((x[begin : begin + n], y[begin : begin + n]))
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
