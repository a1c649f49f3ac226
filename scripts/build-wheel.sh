#!/usr/bin/env bash
# Builds the Python wheel with both programs inside, into target/wheels.
#
#     scripts/build-wheel.sh [x86_64|aarch64] [OPTION...]
#
# Without a processor: a wheel for this machine, which needs a C library at least as new as this machine's.
# With one: a wheel for any Linux with glibc 2.28 or newer (`manylinux_2_28`). Zig compiles the C and links, for this
# processor or the other: `pip install ziglang cargo-zigbuild`, `rustup target add PROCESSOR-unknown-linux-gnu`.
# OPTIONs go to maturin (`pip install maturin`).
set -euo pipefail
cd "$(dirname "$0")/.."

built=target/release
case ${1:-} in
  x86_64 | aarch64)
    triple=$1-unknown-linux-gnu built=target/$1-unknown-linux-gnu/release
    # Cargo compiles everything again where the linker's path changes. So cargo and maturin both get these, in place
    # of `cargo zigbuild` and `maturin --zig`, each of which brings its own. `-s`: without symbols.
    zig=$PWD/target/zig/$1
    mkdir -p "$zig"
    for tool in cc c++; do
      printf '#!/bin/sh\nexec cargo-zigbuild zig %s -- -s -fno-sanitize=all -target %s-linux-gnu.2.28 "$@"\n' "$tool" "$1" >"$zig/$tool"
    done
    printf '#!/bin/sh\nexec cargo-zigbuild zig ar -- "$@"\n' >"$zig/ar"
    chmod +x "$zig"/*
    name=${triple//-/_}
    export "CC_$name=$zig/cc" "CXX_$name=$zig/c++" "AR_$name=$zig/ar" "CARGO_TARGET_${name^^}_LINKER=$zig/cc"
    shift
    set -- --target "$triple" --compatibility manylinux_2_28 "$@"
    cargo build --release --target "$triple" -p trainer -p deploy-cli
    ;;
  *)
    cargo build --release --workspace
    ;;
esac

scripts=deploy/python/programs/scripts
mkdir -p "$scripts"
for program in trainer deploy; do
  cp "$built/$program" "$scripts/"
  [[ $built != target/release ]] || strip "$scripts/$program"
done
maturin build --release --manifest-path deploy/python/Cargo.toml --target-dir target --out target/wheels "$@"
ls -sh target/wheels/*.whl
