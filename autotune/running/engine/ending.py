"""Storage of how a trial ended: complete, pruned, failed with a reason, or waiting again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.failures import SUMMARY
from autotune.optuna_inside import stored
from autotune.running.claims import errors_of
from autotune.running.engine.supervising import NotOursError, Supervisor
from autotune.running.tracking import EndState, TrialArtifacts, leave_log
from autotune.running.trial import Outcome
from autotune.search.history import COPY_OF, GUESS, LEARNED_FROM, first_value, report
from autotune.training.checkpoints import TrialFolder

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_CONSTRAINTS = {
    "oom",
    "timeout",
}  # failures that depend on the configuration: a sampler can learn to avoid them


@dataclass(frozen=True)
class Ending:
    """Stores how trials ended.

    Attributes:
        supervisor: The supervisor of their processes.
        folder: From a trial's number to its folder.
        artifacts: Moves the files of a trial into the artifact store.
        after_trial: Called after each finished trial.
    """

    supervisor: Supervisor
    folder: Callable[[int], TrialFolder]
    artifacts: TrialArtifacts
    after_trial: Callable[[], None]

    def end(self, trial: optuna.Trial, outcome: Outcome | None) -> tuple[Outcome | None, EndState]:
        """Store how a trial ended.

        Args:
            trial: The trial.
            outcome: How its process ended; None if this run has ended the process.

        Returns:
            The outcome of the trial, and its state in one word.

        Raises:
            NotOursError: If another parent runs the trial now.
        """
        held, takeover = self.supervisor.claims.held, self.supervisor.claims.takeover
        held.start_ending(trial.number)
        if outcome is None or outcome.kind == "unusable" or outcome.reason == "server":
            held.put_back(trial.number)
            return outcome, "interrupted"
        if not held.holds(trial.number):
            raise NotOursError
        if outcome.kind == "lost":
            return outcome, "interrupted" if takeover.lose(trial.number) else "failed"
        if outcome.reason == "error" and (time_of := takeover.try_again(trial.number)):
            reason = f"error; it is tried again, {time_of}"
            return dataclasses.replace(outcome, kind="lost", reason=reason), "interrupted"
        return outcome, self._finish(trial, outcome)

    def end_as_copy(self, trial: optuna.Trial, twin: FrozenTrial) -> tuple[Outcome, EndState]:
        """End a trial like its twin with the same configuration. If the twin still runs, the trial waits."""
        held = self.supervisor.claims.held
        held.start_ending(trial.number)
        if not twin.state.is_finished():
            held.put_back(trial.number)
            reason = f"it waits for trial {twin.number}, which has the same configuration"
            return Outcome("lost", reason=reason), "interrupted"
        for step, value in twin.intermediate_values.items():
            report(trial, value, step)
        results = {key: value for key, value in twin.user_attrs.items() if key not in (GUESS, LEARNED_FROM)}
        for key, value in {**results, COPY_OF: twin.number}.items():
            trial.set_user_attr(key, value)
        values = twin.values if twin.state == TrialState.COMPLETE else None
        trial.study.tell(trial, values, twin.state, skip_if_finished=True)
        self.folder(trial.number).remove_checkpoint()
        reason = f"a copy of trial {twin.number}"
        if twin.state == TrialState.COMPLETE:
            return Outcome("complete", first_value(twin), reason=reason), "complete"
        return Outcome("pruned", reason=reason), "pruned"

    def _finish(self, trial: optuna.Trial, outcome: Outcome) -> EndState:
        folder = self.folder(trial.number)
        if outcome.kind == "failed":
            self.supervisor.leave_history(folder)
            leave_log(folder)
        try:
            self.artifacts.leave(trial, folder)  # first, because a trial that has ended accepts no attributes
            self._tell(trial, outcome)
        except UpdateFinishedTrialError:
            raise NotOursError from None
        folder.remove_checkpoint()
        self.after_trial()
        assert outcome.kind in ("complete", "pruned", "failed")
        return outcome.kind

    def _tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        known_space = self.supervisor.known_space
        if outcome.kind == "complete" and known_space is not None:
            known_space.refuse_gone(self.supervisor.study.study_name, trial.params)
        if outcome.kind == "failed":
            _note_failure(trial, outcome)
        values = None if outcome.value is None else [outcome.value, *outcome.costs]
        trial.study.tell(trial, values, _STATES[outcome.kind], skip_if_finished=True)


def _note_failure(trial: optuna.Trial, outcome: Outcome) -> None:
    n_errors = errors_of(stored(trial)).count
    tried, times = (f"It was tried {n_errors + 1} times; the last time:\n", f" (tried {n_errors + 1} times)")
    trial.set_user_attr("failure", outcome.reason)
    trial.set_user_attr("failure_message", (tried if n_errors else "") + outcome.message[-2000:])
    trial.set_user_attr(SUMMARY, outcome.why + (times if n_errors else ""))
    if outcome.reason in _CONSTRAINTS and outcome.reason not in trial.constraints:
        trial.set_constraint(outcome.reason, 1.0)
