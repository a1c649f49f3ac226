#!/usr/bin/env bash
# Measures both networks on an NVIDIA GPU and writes docs/benchmarks/gpu.md: `deploy bench` for CUDA and
# TensorRT, PyTorch and Python's onnxruntime on the same card in turn with it, `trtexec` where it is,
# `deploy eval` cold and warm, `trainer fit --device cuda`.
#
#     scripts/gpu-bench.sh [--data DIR] [--weights FILE.onnx] [--peers DIR] [--python PYTHON]
#         [--tensorrt FOLDER] [--batches 1,8,32,128] [--rounds N] [--duration TIME] [--out FILE.md]
#         [--models DIR] [--bin DIR] [--provider cuda,tensorrt|cpu] [--skip-fit]
#
# FOLDER of --tensorrt holds NVIDIA's TensorRT 10. PYTHON may have torch, torchvision and onnxruntime-gpu:
# what it has not is left out. The models are fitted first, or custom.onnx and resnet18.onnx of --models
# are taken; DIR of --bin holds built programs, else they are built. `--provider cpu` is a rehearsal on a
# machine without a GPU: every step but the GPU's own runs, and the file says so.
set -euo pipefail
cd "$(dirname "$0")/.."

shared=../shared python=python3 tensorrt='' batches=1,8,32,128 rounds=3 duration=5s out=docs/benchmarks/gpu.md
data=$shared/data/hymenoptera weights=$shared/weights/resnet18.onnx peers=$shared/peers
models='' bin='' provider=cuda,tensorrt skip_fit=''
while (($#)); do
  case $1 in
    --data | --weights | --peers | --python | --tensorrt | --batches | --rounds | --duration | --out | --models | --bin | --provider)
      declare "${1#--}=${2?$1 needs a value}"
      shift 2
      ;;
    --skip-fit) skip_fit=1 && shift ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2 && exit 2 ;;
  esac
done

fail() { echo "gpu-bench: $*" >&2 && exit 2; }
step() { echo "== $* ($SECONDS s)" >&2; }
need() { [[ -e $1 ]] || fail "\`$1\` is missing: $2"; }
need "$data" "give labelled images (train/ and val/) with --data"
rehearsal='' device=cuda
if [[ $provider == cpu ]]; then
  rehearsal=1 device=cpu
else
  command -v nvidia-smi >/dev/null || fail "there is no \`nvidia-smi\`: a rehearsal without a GPU is \`--provider cpu\`"
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
notes=()

if [[ -z $bin ]]; then
  step "building"
  cargo build --release --workspace
  bin=target/release
fi
need "$bin/deploy" "cargo build --release --workspace"

if [[ -z $rehearsal ]]; then
  step "installing ONNX Runtime for CUDA"
  "$bin/deploy" runtime install cuda
  if [[ -n $tensorrt ]]; then
    "$bin/deploy" runtime install tensorrt --from "$tensorrt"
  elif [[ $provider == *tensorrt* ]]; then
    notes+=("TensorRT was not given (\`--tensorrt FOLDER\`).")
  fi
fi

fit() { # NAME MORE...
  "$bin/trainer" fit --quiet --data "$data" --runs "$tmp/runs" --name "$1" "${@:2}"
}

if [[ -z $models ]]; then
  need "$weights" "give a ResNet18 as an ONNX file with --weights"
  step "fitting the models"
  models=$tmp/models
  mkdir "$models"
  for name in custom resnet18; do
    backbone=()
    [[ $name == custom ]] || backbone=(--backbone "$weights")
    fit "$name" "${backbone[@]}"
    mv "$tmp/runs/$name/model.onnx" "$models/$name.onnx"
  done
fi
need "$models/custom.onnx" "an exported model"
need "$models/resnet18.onnx" "an exported model"

# Our side of a round: everything that runs here; what does not is in the file with its reason.
ours() { # ROUND
  "$bin/deploy" bench --quiet --matrix --model "$models/custom.onnx" "$models/resnet18.onnx" --batch "$batches" \
    --provider "$provider" --precision fp32,tf32,fp16,int8 --feed both --data "$data" --duration "$duration" --seed "$1" \
    --json "$tmp/ours-$1.json" >"$tmp/ours-$1.txt" || { [[ -s $tmp/ours-$1.json ]] || fail "\`deploy bench\` found nothing to run"; }
}

theirs() { # ROUND
  local name network
  for name in custom resnet18; do
    network=custom
    [[ $name == custom ]] || network=$weights
    "$python" scripts/compare-pytorch/gpu.py "$network" --onnx "$models/$name.onnx" --peers "$peers/pytorch_reference.py" \
      --batch "$batches" --device "$device" --seconds 3 2>>"$tmp/left-out" | sed "s/^/$name /" >>"$tmp/theirs" || true
  done
}

has_peers=''
if [[ -e $peers/pytorch_reference.py ]] && "$python" -c 'import numpy' 2>/dev/null; then has_peers=1; else
  notes+=("\`$python\` or the peers' scripts are missing: no figures of PyTorch and Python's onnxruntime.")
fi
touch "$tmp/theirs" "$tmp/left-out"
for ((round = 0; round < rounds; round++)); do
  step "round $((round + 1)) of $rounds"
  if ((round % 2)); then
    [[ -z $has_peers ]] || theirs "$round"
    ours "$round"
  else
    ours "$round"
    [[ -z $has_peers ]] || theirs "$round"
  fi
done

# trtexec of the same files, without transfers and with them.
touch "$tmp/trtexec"
if [[ -z $rehearsal ]] && command -v trtexec >/dev/null; then
  for name in custom resnet18; do
    for batch in ${batches//,/ }; do
      for precision in fp32 fp16; do
        for feed in resident host; do
          step "trtexec $name $precision $feed $batch"
          flags=(--onnx="$models/$name.onnx" --shapes=input:"$batch"x3x224x224 --warmUp=2000 --duration=5 --useCudaGraph)
          [[ $precision == fp32 ]] || flags+=(--fp16)
          [[ $feed == host ]] || flags+=(--noDataTransfers)
          if trtexec "${flags[@]}" >"$tmp/trt.log" 2>&1; then
            ms=$(sed -n 's/.*Latency:.*median = \([0-9.]*\) ms.*/\1/p' "$tmp/trt.log" | tail -1)
            echo "$name trtexec $precision $feed $batch $ms" >>"$tmp/trtexec"
          else
            notes+=("\`trtexec\` failed for $name $precision batch $batch.")
          fi
        done
      done
    done
  done
elif [[ -z $rehearsal ]]; then
  notes+=("There is no \`trtexec\` on this machine.")
fi

step "deploy eval, cold and warm"
# Cold is without kept engines: the user's are put aside, and back whatever happens.
cache=$("$bin/deploy" cache dir)
[[ -n $cache ]] || fail "\`deploy cache dir\` names no folder"
put_back() {
  [[ ! -d $cache/engines.aside ]] || { rm -rf "${cache:?}/engines" && mv "$cache/engines.aside" "$cache/engines"; }
}
trap 'put_back; rm -rf "$tmp"' EXIT
forget_engines() {
  if [[ -d $cache/engines && ! -e $cache/engines.aside ]]; then mv "$cache/engines" "$cache/engines.aside"; fi
  rm -rf "${cache:?}/engines"
}
: >"$tmp/eval"
for one in ${provider//,/ }; do
  for name in custom resnet18; do
    for temper in cold warm; do
      [[ $temper == warm || $one != tensorrt ]] || forget_engines
      start=${EPOCHREALTIME/./}
      if "$bin/deploy" eval --quiet --model "$models/$name.onnx" --data "$data" --provider "$one" --json "$tmp/eval.json" \
        >/dev/null 2>"$tmp/err"; then
        took=$(((${EPOCHREALTIME/./} - start) / 1000))
        "$python" -c 'import json, sys; d = json.load(open(sys.argv[1])); print(*sys.argv[2:], round(d["images_per_second"], 1), d["accuracy"])' \
          "$tmp/eval.json" "$name" "$one" "$temper" "$took" >>"$tmp/eval"
      else
        notes+=("\`deploy eval --provider $one\` of $name: $(head -1 "$tmp/err").")
      fi
    done
  done
done

: >"$tmp/fit"
if [[ -z $rehearsal && -z $skip_fit ]]; then
  step "trainer fit --device cuda"
  if cargo build --release -p trainer --features cuda --target-dir target/gpu 2>"$tmp/err"; then
    for name in custom resnet18; do
      backbone=()
      [[ $name == custom ]] || backbone=(--backbone "$weights")
      start=${EPOCHREALTIME/./}
      if target/gpu/release/trainer fit --quiet --device cuda --data "$data" --runs "$tmp/runs" --name "gpu-$name" \
        "${backbone[@]}" 2>"$tmp/err"; then
        echo "$name $(((${EPOCHREALTIME/./} - start) / 1000))" >>"$tmp/fit"
      else
        notes+=("\`trainer fit --device cuda\` of $name: $(head -1 "$tmp/err").")
      fi
    done
  else
    notes+=("\`trainer\` does not build with \`--features cuda\` here: $(grep -m1 '^error' "$tmp/err" || tail -1 "$tmp/err").")
  fi
fi

step "writing $out"
{
  [[ -z $rehearsal ]] || echo "rehearsal"
  if [[ -z $rehearsal ]]; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | sed 's/^/gpu /'
  fi
  rustc --version
  "$bin/deploy" doctor --json 2>/dev/null | "$python" -c 'import json, sys
found = {l["name"]: l["version"] for p in json.load(sys.stdin)["providers"] for l in p["libraries"] if l["version"]}
print("; ".join(f"{name} {version}" for name, version in sorted(found.items())) or "no NVIDIA libraries")' || true
  if [[ -n $has_peers ]]; then
    "$python" -c 'import torch; print("PyTorch", torch.__version__)' 2>/dev/null || true
    "$python" -c 'import onnxruntime; print("Python onnxruntime", onnxruntime.__version__)' 2>/dev/null || true
  fi
} >"$tmp/versions"
cat >"$tmp/commands" <<END
deploy bench --matrix --model custom.onnx resnet18.onnx --batch $batches --provider $provider --precision fp32,tf32,fp16,int8 --feed both --data DIR --duration $duration --seed ROUND
scripts/compare-pytorch/gpu.py NETWORK --onnx MODEL.onnx --peers pytorch_reference.py --batch $batches --device $device --seconds 3
deploy eval --model MODEL.onnx --data DIR --provider PROVIDER
trainer fit --device cuda --data DIR [--backbone FILE.onnx]
END
((${#notes[@]} == 0)) || printf '%s\n' "${notes[@]}" >"$tmp/notes"
"$python" scripts/gpu-bench/write.py "$tmp" "$out"
echo "$out"
