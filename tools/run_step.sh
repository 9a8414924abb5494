#!/bin/sh
# run_step.sh LABEL LOG COMMAND...
# Say what is being done in one line and keep what the command prints in LOG. When it fails, show
# the end of that and fail as the command did.
label=$1 log=$2
shift 2
echo "$label"
mkdir -p "$(dirname "$log")"
"$@" >"$log" 2>&1 </dev/null && exit 0
status=$?
tail -n 40 "$log" >&2
echo "$label: failed with exit status $status; all that was printed is in $log" >&2
exit "$status"
