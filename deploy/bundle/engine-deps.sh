#!/usr/bin/env bash
# Packs what the engine needs beside CUDA, PyTorch and cmake on a machine that has no Debian packages:
# deploy/bundle/engine-deps.sh DIR. Downloads the packages (no root, nothing is installed) and unpacks the parts that
# -DBITSWEEP_DEPS=DIR reads: headers of nlohmann_json and CLI11, PCRE2 as a static library, gtest for the tests.
set -euo pipefail

if [ "$#" -ne 1 ]; then
  echo "usage: deploy/bundle/engine-deps.sh DIR (a new or empty folder)" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "engine-deps.sh: needs apt-get and dpkg-deb, as on Debian 12; run it there and copy the folder" >&2
  exit 1
fi
mkdir -p "$1"
target=$(cd "$1" && pwd)
if [ -n "$(ls -A "$target")" ]; then
  echo "engine-deps.sh: $target is not empty; name a new folder" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages=(nlohmann-json3-dev libcli11-dev libpcre2-dev libgtest-dev libgmock-dev)
(cd "$work" && apt-get download -qq "${packages[@]}")
for package in "$work"/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done

mkdir -p "$target/usr/include" "$target/usr/lib/x86_64-linux-gnu" "$target/usr/share"
cp -r "$work"/root/usr/include/{nlohmann,CLI,gtest,gmock,pcre2.h} "$target/usr/include/"
cp -r "$work/root/usr/share/cmake" "$target/usr/share/"
libraries=$work/root/usr/lib/x86_64-linux-gnu
cp "$libraries"/{libpcre2-8.a,libgtest.a,libgtest_main.a,libgmock.a,libgmock_main.a} "$target/usr/lib/x86_64-linux-gnu/"
mkdir -p "$target/usr/lib/x86_64-linux-gnu/cmake"
cp -r "$libraries/cmake/GTest" "$target/usr/lib/x86_64-linux-gnu/cmake/"
(cd "$work" && for package in *.deb; do dpkg-deb -f "$package" Package Version | paste -sd' '; done) > "$target/packages.txt"
echo "engine-deps.sh: $(du -sh "$target" | cut -f1) in $target; configure with -DBITSWEEP_DEPS=$target"
