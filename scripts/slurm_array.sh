#!/usr/bin/env bash
# Run a study as a Slurm array job. Each task is the same `autotune run`, on the GPUs or CPUs that Slurm gives it.
#
# Submit it from the repository, on a file system that all nodes share (with .venv, study file, run dir and data):
#     export OPTUNA_STORAGE=postgresql+psycopg://USER@HOST/DB    # the password in ~/.pgpass, mode 600
#     sbatch --array=0-7 scripts/slurm_array.sh STUDY_FILE [OPTION ...]
# For GPUs add --gpus-per-task=1. More arrays of the same line may join at any time. A minute before the time limit, and
# by scancel, the trials that run are put back with their finished epochs: submit the same line again to go on. A task
# that is preempted or whose node fails is requeued by Slurm and goes on by itself. Output is in autotune-JOB_TASK.out.
#SBATCH --job-name=autotune
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=autotune-%A_%a.out
set -euo pipefail
: "${OPTUNA_STORAGE:?export it before sbatch; see the head of this script}"
cd "$SLURM_SUBMIT_DIR" # Slurm runs a copy of this script from a folder of its own
export PATH="$PWD/.venv/bin:$PATH"

exec autotune run "$@" # in place of the shell, which is what Slurm sends the signal to
