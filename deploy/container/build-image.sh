#!/usr/bin/env bash
# Builds the image with podman. pip's settings on this machine (index, certificates, timeout) and the
# local folders they name are lent to the build, and leave no trace in the image.
# usage: build-image.sh [cpu|gpu]      makes orbitserve:cpu or orbitserve:gpu
# BASE=... names another base, NAME=... another name than orbitserve, EXTRAS="signing otel" extras to install.
set -euo pipefail

variant=${1:-cpu}
case $variant in
    cpu) gpu=0 ;;
    gpu) gpu=1 ;;
    *) echo "usage: $0 [cpu|gpu]" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
base=${BASE:-python:3.11-slim}
name=${NAME:-orbitserve}
export CONTAINERS_CONF=${CONTAINERS_CONF:-$here/containers.conf}
lent=$(mktemp -d)
trap 'rm -rf -- "$lent"' EXIT

# Lines such as global.cert='/a/file'; those from PIP_* variables (:env:) overrule those from files.
configured=$(python3 -m pip config list || true)
declare -A setting=()
while IFS= read -r line; do
    [[ $line =~ ^(global|install|wheel|:env:)\.([a-z-]+)=\'(.*)\'$ ]] || continue
    setting[${BASH_REMATCH[2]}]=${BASH_REMATCH[3]//'\n'/ }
done < <(grep -v '^:env:' <<< "$configured"; grep '^:env:' <<< "$configured")

echo "[global]" > "$lent/pip.conf"
for option in "${!setting[@]}"; do
    echo "$option = ${setting[$option]}" >> "$lent/pip.conf"
done
declare -A mount=(["$lent/pip.conf"]=/etc/pip.conf)
# shellcheck disable=SC2048 # one setting may name several places
for word in ${setting[*]}; do
    path=${word#file://}
    path=${path%/simple} # an index's pages may link to files beside its folder `simple`
    if [[ $path == /* && -e $path ]]; then mount[$path]=$path; fi
done
volumes=()
for path in "${!mount[@]}"; do
    volumes+=(--volume "$path:${mount[$path]}:ro")
done

# A base that is here already is not looked up anywhere; podman's own format, OCI, has no health check.
pull=missing
if podman image exists "$base"; then pull=never; fi
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../pyproject.toml")
revision=$(git -C "$here" rev-parse HEAD 2> /dev/null || echo unknown)
# By --label as well: of a build whose steps are all cached the Dockerfile's label names the commit before.
podman build --format docker --pull="$pull" --network host "${volumes[@]}" \
    --build-arg "BASE=$base" --build-arg "GPU=$gpu" --build-arg "EXTRAS=${EXTRAS:-}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    --label "org.opencontainers.image.revision=$revision" --tag "$name:$variant" "$here/../.."
