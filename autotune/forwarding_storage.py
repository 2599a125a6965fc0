"""A base class for a storage in front of another one: it passes on every call that a subclass does not override."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

T = TypeVar("T")
Request = Callable[[BaseStorage], T]


class ForwardingStorage(BaseStorage):
    """What Optuna's `BaseStorage` leaves open, passed on by `ask`, `read` and `write`; all else it makes of these."""

    @abstractmethod
    def ask(self, request: Request[T], again: Request[T] | None = None) -> T:
        """Have `request` answered by the other storage; `again` where a first answer may have been lost."""

    def read(self, request: Request[T], study_id: int | None = None) -> T:
        """Have `request` answered, which reads a record: of the study `study_id`, where that is known."""
        return self.ask(request)

    def write(self, request: Request[T], again: Request[T] | None = None) -> T:
        """Have `request` answered, which writes."""
        return self.ask(request, again)

    # ---- studies ----

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self.write(lambda to: to.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        self.write(lambda to: to.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.write(lambda to: to.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.write(lambda to: to.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.ask(lambda to: to.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.ask(lambda to: to.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self.read(lambda to: to.get_study_directions(study_id), study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.read(lambda to: to.get_study_user_attrs(study_id), study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.read(lambda to: to.get_study_system_attrs(study_id), study_id)

    def get_all_studies(self) -> list[Any]:
        return self.read(lambda to: to.get_all_studies())

    # ---- trials ----

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self.write(lambda to: to.create_new_trial(study_id, template_trial))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self.write(lambda to: to.set_trial_param(trial_id, param_name, param_value_internal, distribution))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        return self.write(lambda to: to.set_trial_state_values(trial_id, state, values))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.write(lambda to: to.set_trial_intermediate_value(trial_id, step, intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.write(lambda to: to.set_trial_user_attr(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.write(lambda to: to.set_trial_system_attr(trial_id, key, value))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.read(lambda to: to.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self.read(lambda to: to.get_all_trials(study_id, deepcopy, states), study_id)
