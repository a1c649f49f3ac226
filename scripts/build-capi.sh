#!/usr/bin/env bash
# Builds the C library and installs it: header, shared and static library, pkg-config file.
#
#     scripts/build-capi.sh PREFIX
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=$(realpath -m "${1:?usage: scripts/build-capi.sh PREFIX}")

cargo build --release --workspace
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
lib=libclassifold_c.so
install -d "$prefix/lib/pkgconfig" "$prefix/include"
install -m 644 deploy/capi/include/classifold.h "$prefix/include"
install -m 755 -s "target/release/$lib" "$prefix/lib/$lib.$version"
# The name that build.rs gives the library for the loader, and the one for the linker.
ln -sf "$lib.$version" "$prefix/lib/$lib.0"
ln -sf "$lib.0" "$prefix/lib/$lib"
install -m 644 target/release/libclassifold_c.a "$prefix/lib"
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|" deploy/capi/classifold.pc.in >"$prefix/lib/pkgconfig/classifold.pc"
ls -sh "$prefix"/lib/libclassifold_c*
