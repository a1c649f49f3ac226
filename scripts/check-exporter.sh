#!/bin/sh
# Compares our ONNX export of the custom network with that of Burn's own exporter, `burn-onnx`, in ONNX
# Runtime. A package of its own, since the exporter needs features of Burn that nobody else should compile.
# Compiles Burn once more, into tests/exporter-check/target. Arguments are passed to `cargo test`.
set -eu
cd "$(dirname "$0")/.."
exec cargo test --release --locked --manifest-path tests/exporter-check/Cargo.toml "$@"
