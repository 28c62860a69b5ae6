#!/usr/bin/env bash
# Sends generated requests to every operation of the api, valid and invalid ones, with a key of each scope and without, and
# compares the responses with openapi.yaml (schemathesis, from PyPI). Leaves nothing behind. Exits 1 if a response differs, and
# 75 if schemathesis cannot be installed.
#
# Needs the binaries of `make debug`. EXAMPLES: requests of each kind and operation (default: 30), SEED (default: 1).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${CARGO_TARGET_DIR:-$root/target}/debug

if [ "${1:-}" != with-servers ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if ! { python3 -m venv "$work/venv" \
        && "$work/venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5; }; then
        echo 'SKIPPED: schemathesis cannot be installed: no venv of Python, or PyPI cannot be reached from here'
        exit 75
    fi
    "$bin/darkroom-dev" postgres -- "$bin/darkroom-dev" bucket -- "$0" with-servers "$work"
    exit
fi

work=$2
api=
trap '[ -z "$api" ] || kill "$api"; wait' EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
# Checks send wrong keys, and more requests than a client would.
export BIND=127.0.0.1:$port STAGING_URL=file://$work/staging LOG=warn MAX_FAILED_AUTHENTICATIONS=none MAX_REQUESTS_PER_SECOND=none
mkdir "$work/staging"
"$bin/darkroom-api" 2>"$work/api.log" &
api=$!
until python3 -c "import urllib.request; urllib.request.urlopen('$url/readyz')" 2>/dev/null; do
    kill -0 "$api" || { cat "$work/api.log"; exit 1; }
    sleep 0.1
done

cp "$here/schemathesis.toml" "$here/schemathesis_hooks.py" "$root/openapi.yaml" "$work"
cd "$work"
failed=
run() { # name key
    printf '\n== %s\n' "$1"
    # A revoked key stays, and sequences of requests have no exceptions. That a deleted image is gone, other tests check.
    KEY=$2 SCHEMATHESIS_HOOKS=schemathesis_hooks.py "$work/venv/bin/st" --config-file schemathesis.toml \
        run openapi.yaml --url "$url" --checks all --exclude-checks use_after_free --max-examples "${EXAMPLES:-30}" --seed "${SEED:-1}" \
        --workers 1 --request-timeout 10 --no-color || failed="$failed $1"
}
declare -A keys=([none]='')
for scope in read write admin; do
    keys[$scope]=$("$bin/darkroom-api" keys create "schemathesis $scope" --scope "$scope")
done
for name in none read write admin; do
    run "$name" "${keys[$name]}"
done
if [ -n "$failed" ]; then
    echo "failed with the keys:$failed" >&2
    tail -n 20 "$work/api.log" >&2
    exit 1
fi
