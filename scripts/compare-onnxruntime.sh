#!/usr/bin/env bash
# Times `deploy` beside Python's onnxruntime: the same models, runtime version and threads, one run of
# ours, one of theirs; prints Markdown tables.
#
#     scripts/compare-onnxruntime.sh sessions|eval|overhead|all [--pairs N] [--seconds S] [--threads N]
#         [--python PYTHON] [--bin DIR] [--peer FILE.py] [--data DIR] [--weights FILE.onnx]
#         [--models DIR]
#
#   sessions  the session alone, both models at batch 1 and 32: latency (p50) and images per second
#   eval      about 2,000 image files from decoding to the answer, the whole process, and the parts alone
#   overhead  what `Classifier::classify` costs beyond preparing and the bare call of the session
#
# PYTHON needs onnxruntime and numpy, for `eval` torch, torchvision and pillow too; FILE.py of --peer is
# what a Python user would run (`bench` and `eval`, one JSON object each); DIR of --bin holds the programs
# (`cargo build --release --workspace`). The models are fitted first, or custom.onnx and resnet18.onnx of
# --models are taken. Without --threads both sides take their default, one thread per core.
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-} python=python3 bin=target/release shared=../shared pairs='' seconds=8 threads='' models=''
peer=$shared/peers/onnxruntime_reference.py data=$shared/data/hymenoptera weights=$shared/weights/resnet18.onnx
shift || true
while (($#)); do
  case $1 in
    --pairs | --seconds | --threads | --python | --bin | --peer | --data | --weights | --models)
      declare "${1#--}=${2?$1 needs a value}"
      shift 2
      ;;
    *) work='' && break ;;
  esac
done
case $work in sessions | eval | overhead | all) ;; *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2 && exit 2 ;; esac

fail() { echo "compare-onnxruntime: $*" >&2 && exit 2; }
need() { [[ -e $1 ]] || fail "\`$1\` is missing: $2"; }
need "$bin/deploy" "cargo build --release --workspace"
need "$peer" "give the Python script with --peer"
export ORT_DISABLE_TELEMETRY=1
runtime=$("$bin/deploy" runtime path) || fail "first \`deploy runtime install\`"
ours_version=$("$bin/deploy" runtime list | sed -n 's/^\* ONNX Runtime \([0-9.]*\).*/\1/p' | head -1)
theirs_version=$("$python" -c 'import onnxruntime; print(onnxruntime.__version__)' 2>/dev/null) ||
  fail "\`$python\` has no onnxruntime: --python"
[[ $ours_version == "$theirs_version" ]] ||
  fail "the versions differ: ours is $ours_version, Python's $theirs_version (pip install onnxruntime==$ours_version)"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ours_threads=() theirs_threads=()
[[ -z $threads ]] || ours_threads=(--threads "$threads") theirs_threads=(--threads "$threads")

# number FILE EXPRESSION: a number of the JSON object `d` in a file.
number() { "$python" -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }

# pair TABLE NAME OURS THEIRS
pair() { echo "$2 $3 $4" | tee -a "$tmp/$1" >&2; }

table() { "$python" scripts/compare-onnxruntime/intervals.py "$tmp/$1" "$2"; }

# Runs a command into $tmp/out; prints the milliseconds of the whole process.
timed() {
  local start=${EPOCHREALTIME/./}
  "$@" >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err" >&2 && return 1; }
  echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

fit() { # NAME MORE...
  "$bin/trainer" fit --quiet --data "$data" --runs "$tmp/runs" --name "$1" --runtime "$runtime" "${@:2}"
  mv "$tmp/runs/$1/model.onnx" "$models/$1.onnx"
}

if [[ -z $models ]]; then
  need "$bin/trainer" "cargo build --release --workspace"
  need "$data" "give labelled images (train/ and val/) with --data"
  need "$weights" "give a ResNet18 as an ONNX file with --weights"
  models=$tmp/models
  mkdir "$models"
  fit custom
  fit resnet18 --backbone "$weights"
fi
need "$models/custom.onnx" "an exported model"
need "$models/resnet18.onnx" "an exported model"

ours_session() { # MODEL BATCH
  "$bin/deploy" bench --quiet --no-data --model "$1" --batch "$2" --warmup 1s --duration "${seconds}s" \
    --runtime "$runtime" "${ours_threads[@]}" --json - >"$tmp/ours" 2>"$tmp/err" || { cat "$tmp/err" >&2 && return 1; }
}

theirs_session() { # MODEL BATCH
  "$python" "$peer" bench --model "$1" --batch "$2" --warmup 1 --seconds "$seconds" "${theirs_threads[@]}" >"$tmp/theirs"
}

sessions() {
  for ((i = 0; i < ${pairs:-8}; i++)); do
    for model in custom resnet18; do
      for batch in 1 32; do
        # Who goes first changes: neither side always meets the warmer machine.
        if ((i % 2)); then
          theirs_session "$models/$model.onnx" "$batch"
          ours_session "$models/$model.onnx" "$batch"
        else
          ours_session "$models/$model.onnx" "$batch"
          theirs_session "$models/$model.onnx" "$batch"
        fi
        local median="d['results'][0]['quantiles_ms'][50]"
        pair latency "$model-batch-$batch" "$(number "$tmp/ours" "$median")" "$(number "$tmp/theirs" "d['p50_ms']")"
        pair throughput "$model-batch-$batch" "$(number "$tmp/ours" "1e3 * $batch / $median")" \
          "$(number "$tmp/theirs" "d['images_per_second']")"
      done
    done
  done
  echo -e "\n### The session alone, ONNX Runtime $ours_version\n"
  table latency "ms"
  echo
  table throughput "images/s"
}

# Every image under five names: about 2,000 files.
five_times() {
  local file class
  find -L "$data" -name '*.jpg' -o -name '*.jpeg' | while read -r file; do
    class=$(basename "$(dirname "$file")")
    mkdir -p "$tmp/files/test/$class"
    for k in 1 2 3 4 5; do
      cp "$file" "$tmp/files/test/$class/$(basename "${file%.*}")_$k.jpg"
    done
  done
}

ours_eval() { # MODEL
  ours_whole=$(timed "$bin/deploy" eval --quiet --model "$1" --data "$tmp/files" --runtime "$runtime" \
    "${ours_threads[@]}" --json -)
  ours_rate=$(number "$tmp/out" "d['images_per_second']")
}

theirs_eval() { # MODEL
  theirs_whole=$(timed "$python" "$peer" eval --model "$1" --data "$tmp/files/test" "${theirs_threads[@]}")
  theirs_rate=$(number "$tmp/out" "d['images_per_second']")
}

eval_() {
  need "$data" "give labelled images with --data"
  [[ -d $tmp/files ]] || five_times
  for ((i = 0; i < ${pairs:-5}; i++)); do
    for model in custom resnet18; do
      if ((i % 2)); then
        theirs_eval "$models/$model.onnx" && ours_eval "$models/$model.onnx"
      else
        ours_eval "$models/$model.onnx" && theirs_eval "$models/$model.onnx"
      fi
      pair eval "$model" "$ours_rate" "$theirs_rate"
      pair whole "$model" "$ours_whole" "$theirs_whole"
    done
  done
  echo -e "\n### $(find "$tmp/files" -name '*.jpg' | wc -l) files, from decoding to the answer\n"
  table eval "images/s"
  echo -e "\nThe whole process, from start to exit:\n"
  table whole "ms"
  echo -e "\nThe parts alone, and how near the evaluation comes to what they allow (the best of 3 rounds):\n"
  for model in custom resnet18; do
    echo -e "$model\n"
    ORT_DYLIB_PATH=$runtime cargo bench --quiet -p classifold --bench eval -- "$(realpath "$models/$model.onnx")" "$tmp/files" 3 |
      sed 's/^/    /'
    echo
  done
}

overhead() {
  need "$data" "give labelled images with --data"
  local image
  image=$(find -L "$data" -name '*.jpg' | sort | head -1)
  for ((i = 0; i < ${pairs:-5}; i++)); do
    for model in custom resnet18; do
      ORT_DYLIB_PATH=$runtime cargo bench --quiet -p classifold --bench classify -- "$(realpath "$models/$model.onnx")" \
        "$(realpath "$image")" 200 >"$tmp/out"
      # whole, and the sum of the parts
      awk -v name="$model" '{ if ($1 == "classify") whole = $2; else if ($3 == "ms") parts += $2; else if ($4 == "ms") parts += $3 }
        END { print name, whole, parts }' "$tmp/out" | tee -a "$tmp/overhead" >&2
    done
  done
  echo -e "\n### \`Classifier::classify\` (left) beside preparing and the bare session (right), batch 1\n"
  table overhead "ms"
}

case $work in
  sessions) sessions ;;
  eval) eval_ ;;
  overhead) overhead ;;
  all) sessions && eval_ && overhead ;;
esac
