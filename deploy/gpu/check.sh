#!/usr/bin/env bash
# Installs a wheelhouse beside the Python that is here, tries this checkout on the GPU, and prints one
# report. usage: check.sh OUT [WHEELHOUSE...]
#
# OUT keeps a file for each part (its figures as Markdown, its messages as .log) and report.md. A part
# that ended well leaves OUT/<part>.done and is not run again: call it once more to go on. Without a
# WHEELHOUSE nothing is installed.
#
# PYTHON=python3   the Python that has PyTorch; nothing of it is changed
# TARGET=OUT/site  folder that the wheels are installed into; it comes first on Python's path
# DEVICE=cuda      cpu tries everything but the device
# PARTS='...'      which parts, in which order; default: all that PARTS names below
# DATA=TARGET/data rotated MNIST, where a wheelhouse brings it; 'orbitserve data' derives it
# TRAIN=rotmnist-large  what is trained: this, or a folder with one sub-folder of images a class
# SECONDS_IN_ALL=600   a part gets at most what is left of it
# QUICK=1          few images, one batch size, short loads: to see whether everything runs
set -uo pipefail

[ $# -ge 1 ] || { sed -n '3,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2; exit 2; }
mkdir -p "$1" || exit 3
out=$(cd "$1" && pwd)
shift
wheelhouses=()
for folder in "$@"; do
    [ -d "$folder" ] || { echo "$0: there is no folder $folder" >&2; exit 3; }
    wheelhouses+=("$(cd "$folder" && pwd)")
done
cd "$(dirname "$0")/../.." || exit 3
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
target=${TARGET:-$out/site}
seconds=${SECONDS_IN_ALL:-600}
parts=${PARTS:-install environment tests exactness session service training audits run}
data=${DATA:-$target/data}
train=${TRAIN:-rotmnist-large}
export PYTHONPATH=$target${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export PYTHONDONTWRITEBYTECODE=1 QUICK=${QUICK:-} python device target out data train

# Each part is a function, and has a limit in seconds; what it prints is its part of the report.
declare -A limit=([install]=60 [environment]=30 [tests]=70 [exactness]=80 [session]=80
    [service]=80 [training]=50 [audits]=60 [run]=300)

install() { [ $# = 0 ] || "$python" deploy/gpu/install.py "$target" "$@"; }

environment() { "$python" -m benchmarks.gpu.environment --device "$device"; }

tests() {
    # Other plugins of this Python have warnings and options that are none of these tests'.
    local files log status
    log=$(mktemp)
    mapfile -t files < <(grep -rlE 'mark\.gpu\b' tests --include='test_*.py' | sort)
    PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 "$python" -m pytest -p pytest_timeout -p anyio.pytest_plugin \
        -p no:cacheprovider -m gpu -q -rA --tb=short --show-capture=no "${files[@]}" > "$log" 2>&1
    status=$?
    printf '```\n%s\n```\n' "$(cat "$log")"
    # On the device that they are for, a test that was skipped is one that failed.
    [ "$device" = cpu ] || ! grep -q '^SKIPPED' "$log" || status=1
    rm -f "$log"
    return $status
}

exactness() {
    "$python" -m benchmarks.gpu.accumulators --device "$device" || return
    echo
    "$python" -m benchmarks.gpu.exactness --device "$device" ${QUICK:+--images 8 rotmnist-c4-int8}
}

session() {
    "$python" -m benchmarks.gpu.session --device "$device" \
        ${QUICK:+rotmnist-c4 --batches 4 --seconds 0.01}
}

service() {
    "$python" -m benchmarks.gpu.service --device "$device" ${QUICK:+--connections 2 --seconds 0.2}
}

training() {
    "$python" -m benchmarks.gpu.training --device "$device" \
        ${QUICK:+rotmnist-c4-small --batches 4 --steps 1}
}

# Each epoch leaves a checkpoint, so that the next call goes on with it. The test digits are left
# alone: whoever takes the network on tests it by 'orbitserve train rotmnist-large --resume'.
run() {
    local options=(--device "$device" --runs "$out/runs" --resume)
    if [ -d "$train" ]; then
        options+=(${QUICK:+--epochs 1})
    else
        options+=(--data "$data" --choose)
    fi
    printf '`orbitserve train %s`\n\n```\n' "$train"
    "$python" -m orbitserve train "$train" "${options[@]}" 2>&1
    local status=$?
    echo '```'
    return $status
}

audits() {
    local model log verdict judged= status=0
    log=$(mktemp)
    for model in model_repository/*/; do
        model=$(basename "$model")
        [ -z "$QUICK" ] || [ "$model" = rotmnist-c4 ] || continue
        printf '\n`orbitserve audit %s --device %s`\n\n```\n' "$model" "$device"
        "$python" -m orbitserve audit "$model" --device "$device" --no-pictures --progress none \
            > "$log" 2>&1
        verdict=$?
        printf '%s\n```\nstatus %s\n' "$(cat "$log")" "$verdict"
        # A verdict and a refusal are findings, but not where nothing but refusals was found; a
        # traceback is neither.
        [ "$verdict" -gt 2 ] || judged=1
        ! grep -q '^Traceback' "$log" || status=1
    done
    rm -f "$log"
    [ -n "$judged" ] || status=1
    return $status
}

# Runs a part within its limit and what is left of the whole; says how it ended.
run_part() {
    local part=$1 left=$((seconds - SECONDS)) began=$SECONDS status
    [ "${limit[$part]}" -gt "$left" ] || left=${limit[$part]}
    if [ "$left" -le 0 ]; then
        echo "not begun: no time was left"
        return
    fi
    export -f "${!limit[@]}"
    # In a shell of its own, so that `timeout` ends it and all that it started.
    timeout --kill-after=5 "$left" bash -c '"$@"' "$0" "$part" "${wheelhouses[@]}" \
        > "$out/$part.md" 2> "$out/$part.log"
    status=$?
    case $status in
        0) touch "$out/$part.done"; echo "done in $((SECONDS - began)) s" ;;
        124 | 137) echo "not finished: its limit of $left s was over" ;;
        *) echo "failed with status $status after $((SECONDS - began)) s" ;;
    esac
}

for part in $parts; do
    [ -n "${limit[$part]:-}" ] || { echo "$0: there is no part $part" >&2; exit 2; }
    [ -e "$out/$part.done" ] && continue
    run_part "$part" > "$out/$part.state"
    echo "$part: $(cat "$out/$part.state")" >&2
done

for part in $parts; do
    printf '## %s: %s\n\n' "$part" "$(cat "$out/$part.state")"
    cat "$out/$part.md" 2> /dev/null
    # What went wrong, where it did: the last words.
    [ -e "$out/$part.done" ] || sed 's/^/    /' "$out/$part.log" 2> /dev/null | tail -n 15
    echo
done | tee "$out/report.md"

for part in $parts; do
    [ -e "$out/$part.done" ] || exit 1
done
