#!/usr/bin/env bash
# Writes locks/: what pyproject.toml asks for, at one version each, with the digests of its files. All locks
# agree, so that several may be installed together. Needs uv: pip install uv
# usage: lock.sh [UPGRADE...]      UPGRADE: --upgrade, or --upgrade-package NAME; else what is locked stays
set -euo pipefail

cd "$(dirname "$0")/../.."
every=$(mktemp)
trap 'rm -f -- "$every"' EXIT
lock() {
    local out=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command "make lock" --output-file "$out" "$@"
}

# What stands in the locks is preferred, by being in the file that is written.
sed -n 's/^\([a-z0-9].*\) \\$/\1/p' locks/*.txt 2> /dev/null | sort -u > "$every" || true
lock "$every" --extra dev --extra gpu --extra ray --extra ray-serve "$@" pyproject.toml

# torch is left out, with what is CUDA's: which of its builds is installed is for who trains to say.
mapfile -t cuda < <(sed -nE 's/^((nvidia|cuda)[a-z0-9-]*|triton)==.*/--no-emit-package \1/p' "$every" | sort -u)
# shellcheck disable=SC2068 # two words each
lock locks/dev.txt --constraint "$every" --extra dev --no-emit-package torch ${cuda[@]} pyproject.toml
lock locks/runtime.txt --constraint "$every" pyproject.toml
for extra in gpu otel parquet ray ray-serve signing; do
    lock "locks/$extra.txt" --constraint "$every" --extra "$extra" pyproject.toml
done
python3 -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
' | lock locks/build.txt -
