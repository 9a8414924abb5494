#!/bin/sh
# show_help.sh MAKEFILE
# Print the targets that carry a "## description", then the variables, with their defaults.
set -eu
echo "Spinet. Targets of make:"
sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' "$1" | while IFS='	' read -r target text; do
    printf '  %-12s %s\n' "$target" "$text"
done
echo "Variables, as in make run ROLE=controller-clocked:"
sed -n 's/^\([A-Z_]*\) ?= *\([^ #]*\) *## *\(.*\)/\1\t\2\t\3/p' "$1" |
    awk -F '\t' '{ printf "  %-12s %s%s\n", $1, $3, $2 == "" ? "" : " (" $2 ")" }'
