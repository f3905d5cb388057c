#!/usr/bin/env bash
# Writes the bill of materials of what the image installs, as CycloneDX: an environment is made from the
# locks, as in the Dockerfile, and read. Needs cyclonedx-py: pip install cyclonedx-bom
# usage: sbom.sh FILE [EXTRA...]      EXTRA: gpu, otel, parquet, ray, ray-serve, signing
# LOCKS=... names another folder than locks.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 FILE [EXTRA...]" >&2; exit 2; }
out=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
wanted=()
for name in runtime "$@"; do
    lock=${LOCKS:-locks}/$name.txt
    [ -f "$lock" ] || { echo "$0: there is no lock $lock" >&2; exit 3; }
    wanted+=(--requirement "$lock")
done
made=$(mktemp -d)
trap 'rm -rf -- "$made"' EXIT
python3 -m venv --without-pip "$made/image"
pip --quiet --disable-pip-version-check --python "$made/image/bin/python" \
    install --require-hashes "${wanted[@]}"
cyclonedx-py environment --pyproject pyproject.toml --mc-type application --spec-version 1.6 \
    --output-reproducible --validate --output-file "$out" "$made/image/bin/python"
echo "$out"
