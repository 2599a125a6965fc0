"""Events of a run, and their display: artifacts, models of the best trials, the study's note, MLflow.

If something cannot be displayed, no trial fails.

events           The events of a run, and the observers that receive them
trial_summaries  Summaries of a study's trials: the event at the start of a run, and why trials failed
trial_artifacts  The pictures, tables and logs of trials in the artifact store of their study
kept_models      The models of the best trials; those of other trials are removed
mlflow           Finished trials as runs of MLflow, logged by its own client in a thread of the parent
tracking         The options for an artifact store, TensorBoard's event files, and runs of MLflow
note             The note of a study, which optuna-dashboard shows
watching         Events of a study that other processes run, found by reading its storage
"""

from autotune.running.tracking.events import (
    EndState,
    Event,
    FoldFinished,
    Note,
    Observer,
    RunStarted,
    StepReported,
    TrialEnded,
    TrialStarted,
    ignore,
)
from autotune.running.tracking.kept_models import KeptModels
from autotune.running.tracking.note import write_note
from autotune.running.tracking.tracking import Tracking, events_folder, mlflow_runs
from autotune.running.tracking.trial_artifacts import (
    TrialArtifacts,
    artifact_store,
    artifacts_to_look_at,
    checkpoints_url,
    is_left_out,
    leave_log,
    read_history,
)
from autotune.running.tracking.trial_summaries import failure_reason, last_words, mean_seconds, run_started
from autotune.running.tracking.watching import StudyWatch, watch_study

__all__ = [
    "EndState",
    "Event",
    "FoldFinished",
    "KeptModels",
    "Note",
    "Observer",
    "RunStarted",
    "StepReported",
    "StudyWatch",
    "Tracking",
    "TrialArtifacts",
    "TrialEnded",
    "TrialStarted",
    "artifact_store",
    "artifacts_to_look_at",
    "checkpoints_url",
    "events_folder",
    "failure_reason",
    "ignore",
    "is_left_out",
    "last_words",
    "leave_log",
    "mean_seconds",
    "mlflow_runs",
    "read_history",
    "run_started",
    "watch_study",
    "write_note",
]
