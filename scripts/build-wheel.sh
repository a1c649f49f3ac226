#!/usr/bin/env bash
# Builds the Python wheel with both programs inside, into target/wheels.
#
#     scripts/build-wheel.sh [OPTION...]
#
# OPTIONs go to maturin (`pip install maturin`), such as `--zig` for a wheel that runs on older systems.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --workspace
scripts=deploy/python/programs/scripts
mkdir -p "$scripts"
for program in trainer deploy; do
  cp "target/release/$program" "$scripts/"
  strip "$scripts/$program"
done
maturin build --release --manifest-path deploy/python/Cargo.toml --target-dir target --out target/wheels "$@"
ls -sh target/wheels/*.whl
