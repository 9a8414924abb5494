#!/bin/sh
# fetch_board_libraries.sh BUILD
# Make BUILD/board-libraries hold the libraries that tools/micropython.txt pins, for a board's MICROPYPATH.
# Their archives have no setup.py, so pip does not install them. It checks and unpacks one, then
# gives it up, and leaves it where --no-clean says.
set -eu
build=$1
here=$(dirname "$0")
pinned=$here/micropython.txt into=$build/board-libraries

! cmp -s "$pinned" "$into/ready" || exit 0
rm -rf "$into"
mkdir -p "$into/unpacked"
grep -v '^#' "$pinned" | while read -r line; do
    echo "$line" >"$into/one.txt"
    TMPDIR=$into/unpacked "$build/venv/bin/pip" download --no-input --disable-pip-version-check --no-clean \
        --no-deps --no-binary :all: --require-hashes -r "$into/one.txt" || true
done
for library in umqtt urequests; do
    mv "$into"/unpacked/pip-download-*/*/$library "$into"
done
cp "$pinned" "$into/ready"
