#!/bin/sh
# need_packages.sh PURPOSE COMMAND=PACKAGE[|PACKAGE]...
# See to it that the commands, or files and folders by their whole path, are there. Releases name a
# package differently: the first that apt knows is taken. As root install what is missing; for anyone
# else print the line that does. What that line cannot mend is said instead of repeating it.
set -eu
export LC_ALL=C
purpose=$1
shift
project=$(cd "$(dirname "$0")/.." && pwd)

missing() {
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || echo "$pair"
    done
}

# Of a|b: the first that apt can install; nothing when it can install none of them.
known() {
    for package in $(echo "$1" | tr '|' ' '); do
        case $(apt-cache policy "$package") in
        *"Candidate: (none)"*) ;;
        *"Candidate: "*) echo "$package" && return ;;
        esac
    done
}

# Sort the missing pairs' packages: $wanted can be installed, $lost is a sentence about the others.
# Before apt has lists it knows no package; the first name is the usual one.
sort_packages() {
    wanted='' lost=''
    for pair in $lacking; do
        command=${pair%%=*} names=${pair#*=}
        package=$(known "$names")
        [ -n "$package$(apt-get indextargets)" ] || package=${names%%|*}
        if [ -z "$package" ]; then
            lost="$lost; apt has no package $names for $command (on Ubuntu: is universe enabled?)"
        elif [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ]; then
            lost="$lost; $package is installed, yet $command is not found"
        else
            wanted="$wanted $package"
        fi
    done
}

give_up() {
    echo "missing for $purpose:$1" >&2
    exit 1
}

lacking=$(missing "$@")
[ -n "$lacking" ] || exit 0
if ! command -v apt-get >/dev/null; then
    names=$(echo "$lacking" | sed 's/\(.*\)=\(.*\)/ \1 (Debian: \2),/')
    give_up "$(echo "$names" | tr -d '\n') and there is no apt here to install it"
fi
if [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq >/dev/null 2>&1 || : # what is fetched already may do
    sort_packages
    if [ -n "$wanted" ]; then
        # shellcheck disable=SC2086  # wanted is a list of words
        "$project/tools/run_step.sh" "Installing packages for $purpose:$wanted" \
            "$project/build/logs/packages.log" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $wanted
    fi
    lacking=$(missing "$@")
    [ -n "$lacking" ] || exit 0
fi
sort_packages
[ -z "$wanted" ] || lost="$lost; sudo apt-get update && sudo apt-get install$wanted"
give_up "${lost#;}"
