#!/usr/bin/env bash
# Installs the C library into a temporary folder and uses it as others do: by pkg-config and CMake, shared and static,
# and under valgrind. What is not there (cmake, valgrind) is said and left out.
#
#     scripts/check-capi.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig

scripts/build-capi.sh "$work/prefix"
target/release/trainer fit --quiet --epochs 1 --runs "$work/runs" --name small
model=$work/runs/small/model.onnx images=(docs/images/*.png)
target/release/deploy predict --quiet --model "$model" --format csv "${images[@]}" | tail -n +2 | cut -d , -f 1,3 >"$work/expected"

# Runs a program and compares its paths and classes.
check() {
  "${@:2}" "$model" "${images[@]}" >"$work/answers"
  cut -f 1,2 "$work/answers" | tr '\t' , | cmp - "$work/expected"
  echo "$1: ${#images[@]} answers are those of deploy predict"
}

read -ra flags <<<"$(pkg-config --cflags classifold)"
read -ra private <<<"$(sed -n 's/^Libs.private: //p' "$PKG_CONFIG_PATH/classifold.pc")"
cc deploy/capi/examples/classify.c "${flags[@]}" "$work/prefix/lib/libclassifold_c.a" "${private[@]}" -o "$work/static"
check "the static library" "$work/static"

if command -v cmake >/dev/null; then
  cmake -S deploy/capi/examples -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
  cmake --build "$work/build" >/dev/null
  check "the shared library, by CMake" "$work/build/classify"
else
  echo "skipped: cmake is not there"
fi

if command -v valgrind >/dev/null; then
  check "the static library under valgrind" valgrind --quiet --error-exitcode=9 --leak-check=full \
    --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=scripts/valgrind.supp "$work/static"
else
  echo "skipped: valgrind is not there"
fi
