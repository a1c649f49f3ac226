#!/usr/bin/env bash
# Times this toolkit beside PyTorch: the same data, epochs and threads, one run of ours, one of theirs.
#
#     scripts/compare-pytorch.sh steps|fits|eval [--pairs N] [--threads N] [--python PYTHON]
#         [--bin DIR] [--peers DIR] [--data DIR] [--weights FILE.onnx] [--epochs N] [--models DIR]
#         [--json FILE]
#
#   steps  one training step: the custom network at batch 32; at batch 16 ResNet18, and EfficientNet-Lite0,
#          MobileNetV4-S and MNASNet with random weights; PyTorch eager, in the memory format channels-last, compiled,
#          both, and with bf16 autocast; ours in bf16 beside autocast where the processor has it
#   fits   whole `trainer fit` processes: custom; ResNet18 frozen, with an empty and a filled cache
#   eval   about 2,000 image files through an exported custom network and an exported ResNet18
#
# PYTHON needs torch, torchvision, onnx, onnxruntime and pillow, for `steps` timm and onnxscript as well; DIR of --peers holds the two scripts
# that a PyTorch user would run; DIR of --bin the programs (`cargo build --release --workspace`, for
# `steps` with `--example step` as well). `eval` fits its models first, or takes custom.onnx and
# resnet18.onnx of --models. The result is a table, and with --json an array of
# {name, ours_ms, peer_ms, ratio, low, high, pairs}: medians, and of the paired ratios (ours / theirs)
# the median and the range.
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-} python=python3 bin=target/release shared=../shared epochs=10 pairs='' models='' json=''
threads=$(nproc)
peers=$shared/peers data=$shared/data/hymenoptera weights=$shared/weights/resnet18.onnx
shift || true
while (($#)); do
  case $1 in
    --pairs | --threads | --python | --bin | --peers | --data | --weights | --epochs | --models | --json)
      declare "${1#--}=${2?$1 needs a value}"
      shift 2
      ;;
    *) work='' && break ;;
  esac
done
case $work in steps | fits | eval) ;; *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;; esac

need() { [[ -e $1 ]] || { echo "compare-pytorch: \`$1\` is missing: $2" >&2 && exit 2; }; }
need "$peers/pytorch_reference.py" "give the peers' folder with --peers"
need "$data" "give labelled images (train/ and val/) with --data"
need "$weights" "give a ResNet18 as an ONNX file with --weights"
"$python" -c 'import torch, torchvision, onnx, onnxruntime' 2>/dev/null ||
  { echo "compare-pytorch: \`$python\` has no torch, torchvision, onnx and onnxruntime: --python" >&2 && exit 2; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads ORT_DISABLE_TELEMETRY=1

# pair NAME: adds a pair of milliseconds, ours and theirs, to the results.
pair() { echo "$1 $2 $3" | tee -a "$tmp/pairs"; }

# Runs a command silently; prints the milliseconds that the whole process took.
timed() {
  local start=${EPOCHREALTIME/./}
  "$@" >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err" >&2 && return 1; }
  echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

# field NAME: a number of the JSON that the last timed command printed, in milliseconds.
field() { "$python" -c 'import json, sys; print(1e3 * json.load(open(sys.argv[1]))[sys.argv[2]])' "$tmp/out" "$1"; }

fit() { # MODEL SEED MORE...
  "$bin/trainer" fit --quiet --data "$data" --epochs "$epochs" --seed "$2" --threads "$threads" --runtime "$runtime" \
    --runs "$tmp/runs" --name "$1" "${@:3}"
}

peer_fit() { # NET SEED MORE...
  "$python" "$peers/pytorch_reference.py" --data "$data" --net "$1" --epochs "$epochs" --seed "$2" \
    --threads "$threads" --out "$tmp/peer.onnx" "${@:3}"
}

steps() {
  need "$bin/examples/step" "cargo build --release --workspace --example step"
  local networks=(custom "$weights") name
  for name in timm_efficientnet_lite0 timm_mobilenetv4_conv_small tv_mnasnet1_0; do
    "$python" scripts/reference/backbones.py make "$tmp" --exporter kept17 "$name" >&2
    networks+=("$name")
  done
  lscpu | grep 'Model name' >&2
  for ((i = 0; i < ${pairs:-3}; i++)); do
    for name in "${networks[@]}"; do
      local file=$name sizes=(--batch 16 --steps 4) ours way
      case $name in
        custom) sizes=(--batch 32 --steps 20) ;;
        timm_* | tv_*) file=$tmp/$name.kept17.onnx ;;
      esac
      # As `trainer` sets it for itself.
      ours=$(MIMALLOC_PURGE_DELAY=-1 "$bin/examples/step" "$file" "${sizes[@]}")
      for way in eager channels-last compiled compiled-channels-last autocast; do
        pair "$(basename "$name" .onnx)-b${sizes[1]},$way" "$ours" "$("$python" scripts/compare-pytorch/step.py \
          --peers "$peers/pytorch_reference.py" "$name" "${sizes[@]}" --way "$way")"
      done
      # Where the processor multiplies bf16: ours in bf16 beside autocast.
      grep -q 'avx512_bf16' /proc/cpuinfo || continue
      ours=$(MIMALLOC_PURGE_DELAY=-1 "$bin/examples/step" "$file" "${sizes[@]}" --bf16)
      pair "$(basename "$name" .onnx)-b${sizes[1]},both-bf16" "$ours" "$("$python" scripts/compare-pytorch/step.py \
        --peers "$peers/pytorch_reference.py" "$name" "${sizes[@]}" --way autocast)"
    done
  done
}

fits() {
  for ((i = 0; i < ${pairs:-3}; i++)); do
    local ours theirs
    ours=$(timed fit "custom-$i" "$i")
    theirs=$(timed peer_fit custom "$i")
    pair custom-fit "$ours" "$theirs"
    local frozen=(--backbone "$weights" --cache "$tmp/cache-$i")
    ours=$(timed fit "cold-$i" "$((2 * i))" "${frozen[@]}")
    theirs=$(timed peer_fit resnet18 "$((2 * i))" --weights "$weights")
    pair frozen-fit-cold "$ours" "$theirs"
    ours=$(timed fit "warm-$i" "$((2 * i + 1))" "${frozen[@]}")
    theirs=$(timed peer_fit resnet18 "$((2 * i + 1))" --weights "$weights")
    pair frozen-fit-warm "$ours" "$theirs"
  done
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

eval_() {
  if [[ -z $models ]]; then
    models=$tmp/models
    mkdir "$models"
    fit custom 0 && mv "$tmp/runs/custom/model.onnx" "$models/custom.onnx"
    fit resnet18 0 --backbone "$weights" && mv "$tmp/runs/resnet18/model.onnx" "$models/resnet18.onnx"
  fi
  need "$models/custom.onnx" "an exported model"
  need "$models/resnet18.onnx" "an exported model"
  five_times
  local peer=("$python" "$peers/onnxruntime_reference.py" eval --data "$tmp/files/test" --threads "$threads")
  for ((i = 0; i < ${pairs:-3}; i++)); do
    for model in custom resnet18; do
      local name=eval-2000 ours ours_whole theirs theirs_whole
      [[ $model == custom ]] || name+=-resnet18
      ours_whole=$(timed "$bin/deploy" eval --quiet --model "$models/$model.onnx" --data "$tmp/files" \
        --threads "$threads" --runtime "$runtime" --json -)
      ours=$(field seconds)
      theirs_whole=$(timed "${peer[@]}" --model "$models/$model.onnx")
      theirs=$(field eval_s)
      pair "$name" "$ours" "$theirs"
      pair "$name-process" "$ours_whole" "$theirs_whole"
    done
  done
}

if [[ $work == steps ]]; then
  steps
else
  need "$bin/trainer" "cargo build --release --workspace"
  need "$bin/deploy" "cargo build --release --workspace"
  runtime=$("$bin/deploy" runtime path) || { echo "compare-pytorch: first \`deploy runtime install\`" >&2 && exit 2; }
  if [[ $work == fits ]]; then fits; else eval_; fi
fi
python3 scripts/compare-pytorch/ratios.py "$tmp/pairs" ${json:+"$json"}
