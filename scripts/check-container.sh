#!/usr/bin/env bash
# Runs README's "Ship it" as in a container, without a container engine: the folder of an application, as root of a
# read-only file system, a user without an entry in passwd, no home, no variable, no network.
#
#     scripts/check-container.sh MODEL.onnx IMAGE [--bin DIR]
#
# DIR holds the programs and their examples (`cargo build --release --workspace --examples`). The application is the
# example `filter`. Prints its answer, and fails where that is not the one of `deploy predict`. Needs Linux, root or user
# namespaces, and `unshare`, `mount`, `chroot`, `setpriv`.
set -euo pipefail
cd "$(dirname "$0")/.."

(($# >= 2)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
model=$1 image=$2 bin=target/release
[[ ${3:-} != --bin ]] || bin=$4

app=$(mktemp -d)
trap 'rm -rf "$app"' EXIT
chmod 755 "$app"
mkdir -p "$app"/{bin,lib,proc}
cp "$bin/examples/filter" "$app/bin/my-app"
cp "$("$bin/deploy" runtime path)" "$app/lib/libonnxruntime.so"
cp "$model" "$app/model.onnx"
cp "$image" "$app/image.jpg"
# The system's own libraries, which an image such as Debian's has.
ldd "$app/bin/my-app" "$app/lib/libonnxruntime.so" | grep -o '/[^ :)]*\.so[^ :)]*' | sort -u | grep -v "^$app" |
  while read -r library; do
    mkdir -p "$app$(dirname "$library")"
    cp -L "$library" "$app$library"
  done

# shellcheck disable=SC2016 # The inner shell expands it.
answer=$(echo /image.jpg | unshare --mount --net sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount --rbind /proc "$0/proc" &&
  ! touch "$0/written" 2>/dev/null && chroot=$(command -v chroot) &&
  exec setpriv --reuid=10001 --regid=10001 --clear-groups --inh-caps=+sys_chroot --ambient-caps=+sys_chroot \
    env -i "$chroot" "$0" /bin/my-app /model.onnx' "$app")
echo "$answer"
expected=$("$bin/deploy" predict -q --model "$model" --format csv "$image" | sed -n '2s/.*,1,\(.*\),\(.*\)/\1/p')
[[ $answer == *"\"label\":\"$expected\""* ]] ||
  { echo "check-container: \`deploy predict\` says $expected" >&2 && exit 1; }
echo "check-container: passed"
