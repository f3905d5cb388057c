#!/usr/bin/env bash
# Sees to it that podman has the image's base: pulls it or, for root with debootstrap, as where no
# registry of images is reachable, makes a stand-in: Debian's smallest system with its Python 3.11,
# imported under the base image's name.
# usage: base-image.sh            BASE=... names another than python:3.11-slim
set -euo pipefail

base=${BASE:-python:3.11-slim}
suite=bookworm # the Debian release whose python3 is 3.11

command -v podman > /dev/null || { echo "$0: needs podman: apt-get install podman" >&2; exit 1; }
if podman image exists "$base"; then
    echo "podman has a $base already"
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v debootstrap > /dev/null; then
    exec podman pull "$base"
fi

# The mirror that this machine's own apt uses.
# shellcheck disable=SC2016 # apt fills these in
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$suite" '$1 == suite && $2 == "main" && $3 == "Debian" && !found++ { print $4 }')
[ -n "$mirror" ] || { echo "$0: apt knows no mirror of Debian's $suite: run apt-get update" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf -- "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
    "$suite" "$root/rootfs" "$mirror"
tar --directory "$root/rootfs" --create --exclude './var/cache/apt/archives/*.deb' \
    --exclude './var/lib/apt/lists/*' . | podman import - "$base"
