#!/usr/bin/env bash
# Compares the public interface of the library crates with that of a commit, by cargo-semver-checks.
#
#     scripts/check-semver.sh COMMIT
#
# Fails where a program that was written for COMMIT may not compile any more, and lists what changed. Needs
# `cargo install cargo-semver-checks`.
set -euo pipefail
cd "$(dirname "$0")/.."

(($# == 1)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
cargo semver-checks --version >/dev/null 2>&1 ||
  { echo "check-semver: cargo-semver-checks is missing: cargo install cargo-semver-checks" >&2 && exit 2; }
base=$(git rev-parse --verify --quiet "$1^{commit}") || { echo "check-semver: no commit \`$1\`" >&2 && exit 2; }
cargo semver-checks --baseline-rev "$base" -p classifold -p classifold-pixels -p classifold-onnx
