#!/usr/bin/env bash
# Feeds the readers of files with hostile inputs, made from seeds and from real files.
#
#     scripts/fuzz.sh [--inputs N] [--seed S] [--real DIR] [--coverage] [TARGET...]
#
# N (1000000) inputs for each TARGET, all of them by default: `cargo run -p fuzz -- list` names them. DIR
# (../shared) is searched for images and models to start from. Without --coverage the inputs are seeds with random
# changes, and S (1) decides them all. With it libFuzzer looks for inputs that reach new code: that needs a nightly
# compiler and `cargo install cargo-fuzz`. The counts of all runs add up in target/fuzz/counts; the sums are printed.
# A crash, a hang or an allocation beyond the bound ends the run with 1 and names the file that holds the input.
set -euo pipefail
cd "$(dirname "$0")/.."

inputs=1000000 seed=1 real=../shared coverage='' targets=()
while (($#)); do
  case $1 in
    --inputs | --seed | --real) declare "${1#--}=${2?$1 needs a value}" && shift ;;
    --coverage) coverage=yes ;;
    -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done

cargo build --release --workspace --bins
fuzz=$PWD/target/release/fuzz work=$PWD/target/fuzz
((${#targets[@]})) || mapfile -t targets < <("$fuzz" list)
mkdir -p "$work"
rm -rf "$work/corpus"
"$fuzz" seeds "$work/corpus"

# Small real files: libFuzzer and mutation work best on them.
real_files() { # FOLDER KILOBYTES COUNT PATTERN...
  local folder=$work/corpus/$1 size=$2 count=$3 names=()
  shift 3
  for pattern in "$@"; do names+=(-o -name "$pattern"); done
  find -L "$real" -type f -size "-${size}k" \( "${names[@]:1}" \) | sort | head -n "$count" |
    while read -r file; do cp "$file" "$folder/$(md5sum <"$file" | cut -c -16)"; done
}
if [[ -d $real ]]; then
  real_files image 40 200 '*.jpg' '*.jpeg' '*.png' '*.tif' '*.bmp' '*.webp'
  for target in onnx-header onnx-document onnx-convert external-data; do real_files "$target" 200 100 '*.onnx'; done
fi

for target in "${targets[@]}"; do
  echo "$target: $inputs inputs"
  if [[ $coverage ]]; then
    features=()
    case $target in
      pytorch-checkpoint | predictions | settings | checkpoint | features) features=(--features trainer) ;;
    esac
    FUZZ_TARGET=$target cargo +nightly fuzz run --fuzz-dir fuzz/libfuzzer --sanitizer none "${features[@]}" target \
      "$work/corpus/$target" -- -runs="$inputs" -seed="$seed" -malloc_limit_mb=1024 -rss_limit_mb=2048 -timeout=120 \
      -artifact_prefix="$work/$target-" -print_final_stats=1 2>"$work/$target.log" ||
      { tail -n 40 "$work/$target.log" >&2 && exit 1; }
  else
    # C libraries allocate beside the program's own allocator: the bound holds for the address space, too.
    (ulimit -v 8000000 && "$fuzz" run "$target" "$inputs" "$seed" "$work/corpus" "$work/inputs") || exit 1
  fi
  echo "$target $inputs" >>"$work/counts"
done
awk '{ sum[$1] += $2 } END { for (target in sum) print target ": " sum[target] " inputs in all" }' "$work/counts" | sort
