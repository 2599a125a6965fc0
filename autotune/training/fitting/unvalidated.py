"""A wrapper for callbacks in a training without validation rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

_HOOKS = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]


class Unvalidated(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Wraps a callback that may read validation metrics, e.g. to compute a metric from them.

    If the callback raises because such a metric is missing, the error is ignored, and the next epoch calls it again.

    Args:
        callback: The callback.
        tell: Called once with the name of the missing metric.
    """

    def __init__(self, callback: keras.callbacks.Callback, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._callback = callback
        self._tell = tell
        self._has_told = False
        for name in _HOOKS:
            setattr(self, name, getattr(callback, name))
        self.on_epoch_end = lambda epoch, logs=None: self._lenient(logs, callback.on_epoch_end, epoch)
        self.on_train_end = lambda logs=None: self._lenient(logs, callback.on_train_end)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self._callback.set_params(params)

    def _lenient(self, logs: dict[str, Any] | None, hook: Callable[..., None], *given: int) -> None:
        seen = _Logs(logs or {})
        try:
            hook(*given, seen)
        except Exception as error:
            if seen.missed is None:
                raise
            if not self._has_told:
                self._has_told = True
                self._tell(
                    f"{type(self._callback).__name__} looks for {seen.missed!r}, which a training on all rows does not "
                    f"report, and stops with {type(error).__name__}: this training ignores it"
                )
        if logs is not None:
            logs.update(seen)


class _Logs(dict[str, Any]):
    """Keras's logs of an epoch, which note the first missing metric that a callback reads.

    Attributes:
        missed: The name of that metric; None if there is none.
    """

    missed: str | None = None

    def __missing__(self, name: str) -> Any:
        self.missed = self.missed or name
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.missed = self.missed or name
        return super().get(name, default)
