#!/bin/bash
# Bring what it takes to run aarch64 Linux programs on this x86-64 machine as if on a board: an emulator from Debian sid
# (bookworm's qemu 7.2 crashes in ONNX Runtime and LiteRT), the cross compiler with its system root, an older C library,
# and the shim that starts the emulator (foreign.c).
# usage: build.sh DIR   -> DIR/{qemu-aarch64, foreign.so, old-libc/lib}
# Downloads 20 MB of package lists and 74 MB of packages (73 MB are qemu-user, all targets in one); keeps 20 MB. 15 s on
# 2 cores where the cross compiler (60 MB more) is there already; needs root for apt-get.
set -euo pipefail
here=$(dirname "$(realpath "$0")"); dir=$(realpath -m "${1:?usage: build.sh DIR}")
fail() { echo "$1" >&2; exit 1; }
works() {
  for program in gcc aarch64-linux-gnu-g++ cmake ninja; do command -v $program >/dev/null || return 1; done
  [ -e "$dir/old-libc/lib/libc.so.6" ] &&
    "$dir/qemu-aarch64" --version 2>/dev/null | grep -qE '^qemu-aarch64 version (1[1-9]|[2-9][0-9])\.'
}
mkdir -p "$dir"
if ! works; then
  grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release || fail "this recipe needs Debian 12 (bookworm) and root"
  apt-get update -qq
  packages=(g++-aarch64-linux-gnu libc6-dev-arm64-cross gcc cmake ninja-build)
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1)
  apt=$(mktemp -d "$dir/apt.XXXXXX"); trap 'rm -rf "$apt"' EXIT
  mkdir -p "$apt"/{sources,lists/partial,out}
  printf 'Types: deb\nURIs: %s\nSuites: sid bullseye\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$uri" > "$apt/sources/other.sources"
  opts=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/sources" -o "Dir::State::lists=$apt/lists"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Acquire::Languages=none)
  apt-get -qq "${opts[@]}" update
  (cd "$apt" && apt-get -qq "${opts[@]}" download qemu-user/sid libc6-arm64-cross/bullseye)
  dpkg-deb --fsys-tarfile "$apt"/qemu-user_*.deb | tar x -C "$apt/out" ./usr/bin/qemu-aarch64
  dpkg-deb -x "$apt"/libc6-arm64-cross_*.deb "$apt/out"
  mv "$apt/out/usr/bin/qemu-aarch64" "$dir/qemu-aarch64"
  rm -rf "$dir/old-libc"; mkdir "$dir/old-libc"; mv "$apt/out/usr/aarch64-linux-gnu/lib" "$dir/old-libc/lib"
  works || fail "no qemu-aarch64 of version 11 or later: $("$dir/qemu-aarch64" --version 2>&1 | head -1)"
fi
gcc -O2 -Wall -Wextra -Werror -fPIC -shared -o "$dir/foreign.so" "$here/foreign.c" -ldl
echo "$dir"
