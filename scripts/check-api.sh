#!/usr/bin/env bash
# Whether programs that use the library still compile: its public interface beside that of a commit.
#
#     scripts/check-api.sh COMMIT
#
# Needs `cargo install cargo-semver-checks`. Compiles the library twice for its documentation, a few minutes each.
set -euo pipefail
cd "$(dirname "$0")/.."
(($# == 1)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2; }

# `minor`: the version is not raised for each commit, so that additions are not faults.
cargo semver-checks --package classifold --baseline-rev "$1" --release-type minor \
  --only-explicit-features --features default,eval,install,ndarray,tracing
