#!/bin/sh
# Checks the arrows between the crates (ARCHITECTURE.md) with cargo, and that the modules of a crate have no
# cycle with scripts/module-cycles.py. Prints every arrow that is wrong and exits with 1 if there is one.
set -eu
cd "$(dirname "$0")/.."
wrong=0

complain() {
    echo "check-arrows: $1" >&2
    wrong=1
}

# The package of the crate $1: its short name is that of the folder.
package() {
    case $1 in
        deploy) echo classifold ;;
        files | pixels | data | onnx | kernels | models | machine | python | capi) echo "classifold-$1" ;;
        *) echo "$1" ;;
    esac
}

# Short names of the packages that $1 is built from: `direct` ones or `all`. Dev-dependencies do not count.
packages() {
    case $2 in
        direct) depth=1 ;;
        all) depth=999 ;;
    esac
    tree=$(cargo tree --locked --quiet -p "$(package "$1")" -e normal,build --depth "$depth" --prefix none)
    echo "$tree" | cut -d ' ' -f 1 | sed 's/^classifold-//; s/^classifold$/deploy/' | sort -u
}

# Crates of this workspace, and those whose place is fixed, that $1 may name itself: $2.
may_use() {
    fixed='files|pixels|kernels|console|data|onnx|models|machine|deploy|bench|deploy-cli|report|trainer|tests|fuzz|burn|burn-.*|ort|clap'
    for found in $(packages "$1" direct | grep -Ex "$fixed" | grep -vx "${1%@*}" || true); do
        case " $2 " in
            *" $found "*) ;;
            *) complain "$1 must not depend on $found" ;;
        esac
    done
}

# Crates that $1 must not be built from, by itself or through others: pattern $2.
must_lack() {
    for found in $(packages "$1" all | grep -Ex "$2" || true); do
        complain "$1 is built from $found"
    done
}

may_use files ''
may_use pixels 'files'
may_use data 'files pixels'
may_use onnx 'files'
may_use kernels 'burn'
may_use console@0.1.0 'files'
may_use models 'onnx kernels burn'
may_use machine 'files'
may_use deploy 'files pixels onnx machine ort'
may_use bench 'data deploy'
may_use python 'deploy'
may_use capi 'deploy'
may_use deploy-cli 'data onnx deploy bench console clap'
# `onnx`: the card of a run is in the header of its model.onnx.
may_use report 'data onnx console'
may_use trainer 'data onnx kernels models deploy report console burn clap'
may_use tests 'onnx'
may_use fuzz 'data pixels onnx models trainer report'

burn='burn|burn-.*|cubecl|cubecl-.*'
for crate in files pixels data onnx machine report tests; do
    must_lack "$crate" "$burn|ort|ort-sys|clap|clap_.*"
done
must_lack models 'ort|ort-sys|clap|clap_.*'
# Without its feature `eval`: labels and metrics are for those who evaluate.
must_lack deploy "$burn|clap|clap_.*|data"
must_lack bench "$burn|clap|clap_.*"
must_lack deploy-cli "$burn"
# By version: a crate of the registry has the same name.
must_lack console@0.1.0 "$burn|ort|ort-sys|clap|clap_.*|resvg"

# The same by cargo's own answer: it fails where the crate is nowhere in the tree.
if cargo tree --locked --quiet -p classifold -e normal -i burn-core >/dev/null 2>&1; then
    complain "deploy is built from burn-core"
fi
# ... and only there, so that a change of that name does not go unnoticed.
cargo tree --locked --quiet -p trainer -e normal -i burn-core >/dev/null ||
    complain "burn-core was not found under trainer: has it another name?"

# Modules: no cycle but of a parent with its own child.
for crate in data data/files data/pixels onnx models models/kernels console trainer trainer/report \
    deploy deploy/machine deploy/cli deploy/cli/bench fuzz; do
    scripts/module-cycles.py "$crate/src" || complain "the modules of $crate have a cycle"
done

[ "$wrong" -eq 0 ] && echo "check-arrows: all arrows are as drawn"
exit "$wrong"
