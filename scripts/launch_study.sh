#!/usr/bin/env bash
# Launch a study from a shell script, as in a batch job, and print its best trial as JSON.
# Usage: scripts/launch_study.sh STUDY_FILE NAME [N_TRIALS]
# A job that is stopped (exit code 130) goes on when the same line runs again.
set -euo pipefail
export PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"

autotune run "$1" --name "$2" --trials "${3:-10}"
autotune best "$2" --json
