"""Whatever Optuna asks of a storage, the one behind is asked: no method of Optuna's is forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

import pytest
from optuna.storages import BaseStorage

from autotune.forwarding_storage import ForwardingStorage

# What Optuna's base makes of the methods that it leaves open. One more may be quicker where the storage behind has it.
ANSWERED = {
    "check_trial_is_updatable",
    "get_best_trial",
    "get_n_trials",
    "get_trial_id_from_study_id_trial_number",
    "get_trial_number_from_id",
    "get_trial_param",
    "get_trial_params",
    "get_trial_system_attrs",
    "get_trial_user_attrs",
    "remove_session",
}
LEFT_OPEN = sorted(BaseStorage.__abstractmethods__)


class InFront(ForwardingStorage):
    def __init__(self, behind: BaseStorage) -> None:
        self._behind = behind

    def ask(self, request: Callable[[BaseStorage], Any], again: Any = None) -> Any:
        return request(self._behind)


def test_optunas_storages_have_the_methods_that_we_know() -> None:
    public = {name for name, _ in inspect.getmembers(BaseStorage, inspect.isfunction) if not name.startswith("_")}
    assert public - set(LEFT_OPEN) == ANSWERED
    assert {name for name in vars(ForwardingStorage) if name in public} == set(LEFT_OPEN)


@pytest.mark.parametrize("name", LEFT_OPEN)
def test_the_storage_behind_is_asked_for(name: str) -> None:
    behind = create_autospec(BaseStorage, instance=True)
    parameters = list(inspect.signature(getattr(BaseStorage, name)).parameters)[1:]
    given = [object() for _ in parameters]
    answer = getattr(InFront(behind), name)(*given)
    method = getattr(behind, name)
    method.assert_called_once()
    bound = inspect.signature(getattr(BaseStorage, name)).bind(None, *method.call_args.args, **method.call_args.kwargs)
    assert list(bound.arguments.values())[1:] == given
    is_setter = inspect.signature(getattr(BaseStorage, name)).return_annotation in (None, "None")
    assert is_setter or answer is method.return_value
