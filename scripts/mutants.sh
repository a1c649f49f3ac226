#!/usr/bin/env bash
# Draws changes of the source ("mutants") and runs the crate's own tests against each: are they caught?
#
#     scripts/mutants.sh [--count N] [--draw K] [CRATE...]
#
# About N (100) of each CRATE: data, onnx and deploy by default. Another K (0) draws others. Needs
# `cargo install cargo-mutants`. Prints the counts and those that no test caught, which are also in
# target/mutants/CRATE/mutants.out/missed.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

count=100 draw=0 crates=()
while (($#)); do
  case $1 in
    --count | --draw) declare "${1#--}=${2?$1 needs a value}" && shift ;;
    -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    *) crates+=("$1") ;;
  esac
  shift
done
((${#crates[@]})) || crates=(data onnx deploy)

# The copy that is changed lies beside the checkout, so that its tests find ../shared.
TMPDIR=$(cd .. && pwd)
export TMPDIR CARGO_INCREMENTAL=1
for crate in "${crates[@]}"; do
  features=()
  case $crate in
    deploy) package=classifold features=(--features eval) ;;
    data) package=classifold-data features=(--features fetch) ;;
    *) package=classifold-$crate ;;
  esac
  total=$(cargo mutants --list -p "$package" | wc -l)
  shards=$((total > count ? total / count : 1))
  out=target/mutants/$crate
  mkdir -p "$out"
  # Exits with 2 when a mutant is missed, with 3 when the tests of one take too long.
  cargo mutants -p "$package" "${features[@]}" --profile release --shard "$draw/$shards" --sharding round-robin \
    --no-shuffle --output "$out" >"$out/log" 2>&1 || (($? == 2 || $? == 3)) || { tail -n 30 "$out/log" && exit 1; }
  tail -n 1 "$out/log"
  cat "$out/mutants.out/missed.txt"
done
