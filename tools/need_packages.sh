#!/bin/sh
# need_packages.sh PURPOSE COMMAND=PACKAGE...
# See to it that the commands, or files by their whole path, are there: as root install the missing ones' Debian packages, as
# anyone else print the line that does.
set -eu
purpose=$1
shift
missing=
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || [ -f "${pair%%=*}" ] || missing="$missing ${pair#*=}"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$purpose need:$missing. Install them with: sudo apt-get install$missing" >&2
    exit 1
fi
project=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck disable=SC2086  # missing is a list of words
exec "$project/tools/run_step.sh" "Installing Debian packages for $purpose:$missing" \
    "$project/build/logs/packages.log" sh -c '
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    ' sh $missing
