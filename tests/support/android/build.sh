#!/bin/bash
# Bring what it takes to compile and link the native runner for Android on a machine without an NDK: clang and lld, the
# headers of libc++, and real Android libraries, which say what bionic and the NDK's libc++ have.
# usage: build.sh DIR   -> DIR/{c++/v1, lib/*.so, include}
# Downloads 190 MB of npm packages and 1 MB of Debian's; keeps 62 MB. About 20 s on 2 cores; needs root for apt-get.
set -euo pipefail
here=$(dirname "$(realpath "$0")"); dir=$(realpath -m "${1:?usage: build.sh DIR}")
fail() { echo "$1" >&2; exit 1; }
tools() { for program in clang++ ld.lld cmake ninja readelf; do command -v $program >/dev/null || return 1; done; }
mkdir -p "$dir"; work=$(mktemp -d "$dir/work.XXXXXX"); trap 'rm -rf "$work"' EXIT
if ! tools || [ ! -e "$dir/c++/v1/string" ]; then
  grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release || fail "this recipe needs Debian 12 (bookworm) and root"
  apt-get update -qq
  tools || apt-get install -y -qq --no-install-recommends clang lld cmake ninja-build binutils >/dev/null
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download libc++-14-dev && dpkg-deb -x libc++-14-dev_*.deb out)
  rm -rf "$dir/c++"; mkdir "$dir/c++"; mv "$work/out/usr/lib/llvm-14/include/c++/v1" "$dir/c++/v1"
fi
cp "$here/__config_site" "$dir/c++/v1/__config_site"
if [ ! -e "$dir/lib/.complete" ]; then
  for program in npm unzip; do command -v $program >/dev/null || fail "this recipe needs $program"; done
  rm -rf "$dir/lib" "$dir/include"; mkdir -p "$dir/lib" "$dir/include" "$work/npm"
  packages=(com.github.asus4.onnxruntime@0.4.9 react-native-executorch@0.9.3)
  (cd "$work" && npm pack --silent --ignore-scripts "${packages[@]}" >/dev/null)
  tar xzf "$work"/com.github.asus4.onnxruntime-*.tgz -C "$work/npm" package/Plugins/Android/onnxruntime.aar
  unzip -qoj "$work/npm/package/Plugins/Android/onnxruntime.aar" jni/arm64-v8a/libonnxruntime.so -d "$dir/lib"
  tar xzf "$work"/react-native-executorch-*.tgz -C "$work/npm" package/third-party
  from=$work/npm/package/third-party
  cp "$from"/android/libs/*/arm64-v8a/*.so "$dir/lib"
  (cd "$from/include" && cp -r --parents executorch/runtime c10 torch/headeronly "$dir/include")
  touch "$dir/lib/.complete"
fi
echo "$dir"
