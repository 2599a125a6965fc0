"""Train on several batches in one call of TensorFlow, to save time: each call costs milliseconds in Python.

The numbers equal those of single batches, bit for bit. The exception is a callback that changes something between
batches and accepts groups (`groups_from`), such as a schedule. If a callback freezes layers, compiles again or makes
Keras build its functions again, Keras trains on single batches from then on.

An epoch of 32 batches of a small network takes 109 ms in place of 160 (scripts/benchmark_shortcuts.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from autotune.training.fitting.batches import Batches, first_rows, in_tensors

_GROUP = 16
_GROUP_BYTES = 2**25  # largest size of a group's rows; larger groups save no time and take memory
_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
# A model that overrides one of these trains on single batches.
_OWN = ("fit", "evaluate", "train_step", "test_step", "compute_metrics", "make_train_function", "make_test_function")
_BY_BATCHES = {"class_weight", "validation_steps"}
_NUMBER = tf.TensorSpec((), tf.int64)

Rows = tuple[Any, ...]  # inputs, targets, weights: each a tensor or a nest of tensors
Call = Callable[..., dict[str, tf.Tensor]]


def group_size(
    model: keras.Model,
    training: Batches,
    validation: Batches | None,
    callbacks: Sequence[keras.callbacks.Callback],
    arguments: Collection[str] = (),
) -> int:
    """Return how many batches to train on in one call; 1 if the model or a callback needs single batches.

    Args:
        model: A compiled model.
        training: The training rows.
        validation: The validation rows; None for none.
        callbacks: The callbacks of the training. A callback with a hook for batches needs single batches, unless its
            `groups_from` says that it accepts groups in epochs of this many batches.
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
    if training.is_ragged or not training.keeps_rows():
        return 1  # a group would be padded to its own longest row, or could not be cut into batches
    batch_bytes = max(rows.batch_bytes for rows in (training, validation) if rows is not None)
    return max(1, min(_GROUP, len(training), _GROUP_BYTES // batch_bytes))


@contextlib.contextmanager
def in_groups(
    model: keras.Model, training: Batches, validation: Batches | None, size: int
) -> Iterator[tuple[Any, Any]]:
    """Let `fit` train and validate on groups of batches inside the block.

    Args:
        model: A compiled model; its compile settings do not change.
        training: The training rows.
        validation: The validation rows; None for none.
        size: Batches per group, from `group_size`.

    Yields:
        The arguments `x` and `validation_data` for `fit`.
    """
    if size == 1:
        yield training.for_keras(), None if validation is None else validation.for_keras()
        return
    with ThreadPoolExecutor(1, "rows") as pool:
        model.steps_per_execution = size
        groups = [_Groups("train", model, training, size, pool)]
        if validation is not None:
            groups.append(_Groups("test", model, validation, size, pool))
        for group in groups:
            group.install()
        model.compile = partial(_compile, model, size)
        model.predict_function = None  # a function that was made for single batches would skip rows
        try:
            yield _counting(len(training)), None if validation is None else _counting(len(validation))
        finally:
            del model.compile
            for group in groups:
                group.give_back()
            model.steps_per_execution = 1
            forget_functions(model)


def forget_functions(model: keras.Model) -> None:
    """Let Keras make its functions of a training, test and prediction step again."""
    model.train_function = model.test_function = model.predict_function = None


def _compile(model: keras.Model, size: int, *given: Any, **named: Any) -> None:
    """Compile `model` again while it trains in groups, and keep Keras counting in groups."""
    type(model).compile(model, *given, **named)
    model.steps_per_execution = size


class _Groups:
    """Replaces the function that `fit` and `evaluate` call for each step: it runs a group and prepares the next one.

    Args:
        kind: "train" or "test".
        model: The model.
        batches: The rows.
        size: Batches per group, at least 1.
        pool: Reads the rows of the next group while TensorFlow trains on this one.
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

    def install(self) -> None:
        """Make Keras call this object from now on, also after the function is made again."""
        setattr(self._model, f"{self._kind}_function", self)
        setattr(self._model, f"make_{self._kind}_function", self._make)

    def give_back(self) -> None:
        """Let Keras make its own function again."""
        delattr(self._model, f"make_{self._kind}_function")

    def __call__(self, epoch: Any) -> dict[str, tf.Tensor]:
        """Run the next group of an epoch; Keras makes a new iterator `epoch` for each epoch."""
        if getattr(epoch, "element_spec", None) != _NUMBER:  # other rows: a callback has called `evaluate`
            return self._by_keras(epoch)
        if epoch is not self._epoch:
            self._epoch, self._first = epoch, 0
            self._next = self._pool.submit(self._group, 0)
        rows = self._next.result()
        if self._is_last_step():
            rows = first_rows(rows, self._batches.batch_size)
        self._first += self._size
        if self._first < len(self._batches):
            self._next = self._pool.submit(self._group, self._first)
        if self._run is None:
            self._run = self._traced(rows) if self._has_variables() else self._each
        return self._run(rows)

    def _is_last_step(self) -> bool:
        """Tell whether Keras stops after this step, which must then be a single batch, as without groups."""
        name = {"train": "stop_training", "test": "stop_evaluating"}[self._kind]
        return bool(getattr(self._model, name, False))

    def _has_variables(self) -> bool:
        """Tell whether the optimizer has its variables; one that a callback has set may not have them."""
        return self._kind == "test" or self._model.optimizer is None or bool(self._model.optimizer.built)

    def _make(self, force: bool = False) -> Any:
        """Replace Keras's `make_..._function`: its inputs may have changed, so Keras's own function is made."""
        current = getattr(self._model, f"{self._kind}_function")
        if current is not None and not force:
            return current
        anew = _Groups(self._kind, self._model, self._batches, self._size, self._pool)
        anew._of_keras = self._made_by_keras()
        anew._run = anew._each
        anew.install()
        return None

    def _made_by_keras(self) -> Call:
        getattr(type(self._model), f"make_{self._kind}_function")(self._model, force=True)
        made: Call = getattr(self._model, f"{self._kind}_function")
        self.install()
        return made

    def _by_keras(self, rows: Any) -> dict[str, tf.Tensor]:
        if self._of_keras is None:
            self._of_keras = self._made_by_keras()
        return self._of_keras(rows)

    def _each(self, rows: Rows) -> dict[str, tf.Tensor]:
        """Run the batches of a group one after the other, as Keras does."""
        n = self._batches.batch_size
        for begin in range(0, _n_rows(rows), n):
            logs = self._by_keras(iter([_cut(rows, begin, n)]))
        return logs

    def _group(self, first: int) -> Rows:
        rows: Rows = in_tensors(self._batches.group(first, self._size))
        return rows

    def _traced(self, like: Rows) -> Call:
        n, step = self._batches.batch_size, getattr(self._model, f"{self._kind}_step")
        if self._model.jit_compile:
            step = tf.function(step, jit_compile=True, autograph=False)

        def run(rows: Rows) -> dict[str, tf.Tensor]:
            def body(begin: tf.Tensor) -> tf.Tensor:
                step(_cut(rows, begin, n))
                return begin + n

            n_rows = tf.shape(keras.tree.flatten(rows)[0])[0]
            tf.while_loop(lambda begin: begin < n_rows, body, [tf.constant(0)], parallel_iterations=1)
            return dict(self._model.get_metrics_result())

        spec = keras.tree.map_structure(lambda rows: tf.TensorSpec((None, *rows.shape[1:]), rows.dtype), like)
        return tf.function(run, input_signature=[spec], autograph=False)  # type: ignore[no-any-return]  # reason: untyped


def _cut(rows: Rows, begin: Any, n: int) -> Rows:
    cut: Rows = keras.tree.map_structure(lambda leaf: leaf[begin : begin + n], rows)
    return cut


def _n_rows(rows: Rows) -> int:
    return len(keras.tree.flatten(rows)[0])


def _counting(n: int) -> tf.data.Dataset:
    """Return a dataset of `n` numbers, which only tells Keras when an epoch ends; the rows are read separately."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.range(n).with_options(options)


def _needs_each(callback: keras.callbacks.Callback, n_batches: int) -> bool:
    kind, plain = type(callback), keras.callbacks.Callback
    if n_batches >= getattr(callback, "groups_from", n_batches + 1):
        return False
    return any(name in vars(callback) or getattr(kind, name) is not getattr(plain, name) for name in _HOOKS)
