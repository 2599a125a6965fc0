"""What happens in a run, as events, and where they are shown: artifacts, notes, MLflow.

What cannot be shown costs no trial.

events           What happens in a run, told to whoever shows it
beginning        Where a study stands when somebody begins to run it, or to watch it
trial_artifacts  What trials leave to look at, in the artifact store of their study
kept_models      The models of the best trials are kept, and those that fall behind are removed
mlflow           Finished trials as runs of MLflow, logged by its own client in a thread of the parent
tracking         Where else a study is kept and shown: an artifact store, TensorBoard's event files, and runs of MLflow
note             The note of a study, which optuna-dashboard shows
watching         A study watched from outside
"""

from autotune.running.tracking.beginning import failure_reason, last_words, mean_seconds, run_started
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
