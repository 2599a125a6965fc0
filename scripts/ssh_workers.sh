#!/usr/bin/env bash
# Run a study on several machines by ssh, the same `autotune run` on each, until it has all its trials.
#
#     export OPTUNA_STORAGE=postgresql+psycopg://USER:PASSWORD@HOST/DB
#     scripts/ssh_workers.sh "HOST1 HOST2" STUDY_FILE [OPTION ...]
# Run it in a folder that has the same path on all hosts, and .venv with autotune in it; the run dir is to be on a file
# system that they share. ssh has to log in without asking (ssh-agent). The storage's URL travels over stdin, so that no
# process list shows it. When this script ends, by Ctrl-C or however, the hosts see the end of stdin, put their trials
# back with all finished epochs, and end; the same line goes on. A host may be lost at any time.
# Exit code: that of the last host that did not end with 0.
set -euo pipefail
: "${OPTUNA_STORAGE:?export it first; see the head of this script}"
hosts=$1
shift

there="cd ${PWD@Q} && PATH=${PWD@Q}/.venv/bin:\$PATH && read -r OPTUNA_STORAGE && export OPTUNA_STORAGE PATH || exit
exec 3<&0
autotune run ${*@Q} </dev/null 3<&- &
worker=\$!
{ cat <&3; kill \$worker; } >/dev/null 2>&1 &
exec 3<&-
wait \$worker"

folder=$(mktemp -d)
mkfifo "$folder/hold"
exec 9<>"$folder/hold" # while this script has it open, the hosts' stdin does not end
exec 8<"$folder/hold"
rm -r "$folder"
trap 'exec 9<&-' INT TERM HUP

workers=()
for host in $hosts; do
    # shellcheck disable=SC2029 # reason: it is quoted for the other side above
    ssh "$host" "$there" < <(printf '%s\n' "$OPTUNA_STORAGE" && exec cat <&8 9<&-) 8<&- 9<&- &
    workers+=($!)
done
status=0
for worker in "${workers[@]}"; do
    ended=0
    wait "$worker" || ended=$?
    while kill -0 "$worker" 2>/dev/null; do # a signal ends `wait`, but not yet the worker
        ended=0
        wait "$worker" || ended=$?
    done
    [ "$ended" -eq 0 ] || status=$ended
done
exit "$status"
