#!/bin/sh
# make_venv.sh PYTHON BUILD
# Make BUILD/venv: the tools that tools/requirements.txt pins, the controller package, which is used
# where it lies and finds what its extra `test` asks for among them, and the libraries of
# tools/circuitpython.txt. BUILD/venv/ready is written last and names what the environment was made
# from; a stamp that is missing or says something else means starting afresh.
set -eu
python=$1 build=$2
here=$(dirname "$0")
project=$(cd "$here/.." && pwd)
requirements=$here/requirements.txt circuitpython=$here/circuitpython.txt
venv=$build/venv

version=$("$python" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null) || {
    echo "PYTHON=$python does not run" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "PYTHON=$python is Python $version; 3.11 or newer is needed: PYTHON may name another" >&2
    exit 1
}

# The folder is in the stamp because the environment's programs do not work in any other.
stamp=$(echo "$version $venv" && cat "$requirements" "$circuitpython" "$project/controller/pyproject.toml" |
    sha256sum)
[ "$(cat "$venv/ready" 2>/dev/null)" != "$stamp" ] || exit 0

logs=$build/logs
rm -rf "$venv"
ensurepip=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib") + "/ensurepip")')
"$here/need_packages.sh" "PYTHON=$python" \
    "$ensurepip/__init__.py=python$(echo "$version" | cut -d. -f1,2)-venv"
"$here/run_step.sh" "Making the virtual environment" "$logs/venv.log" "$python" -m venv "$venv"
"$here/run_step.sh" "Installing the tools that tools/requirements.txt pins" "$logs/requirements.log" \
    "$venv/bin/pip" install --no-input --disable-pip-version-check -r "$requirements"
"$here/run_step.sh" "Installing the controller package" "$logs/controller.log" \
    "$venv/bin/pip" install --no-input --disable-pip-version-check \
    --no-index --no-build-isolation -e "$project/controller[test]"
"$venv/bin/pip" check --disable-pip-version-check >"$logs/pip-check.log" || {
    echo "what tools/requirements.txt pins does not go together:" >&2
    cat "$logs/pip-check.log" >&2
    exit 1
}
"$here/run_step.sh" "Installing CircuitPython's libraries" "$logs/circuitpython.log" \
    "$venv/bin/pip" install --no-input --disable-pip-version-check --no-deps -r "$circuitpython"
echo "$stamp" >"$venv/ready"
