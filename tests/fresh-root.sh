#!/usr/bin/env bash
# Tries a command of this repository on a Debian 12 system on which nothing was installed by hand:
#   tests/fresh-root.sh deploy/demo/run.sh [arguments]      or      tests/fresh-root.sh tests/run.sh
# Makes a minimal system with debootstrap, clones the repository's HEAD into it and enters it by pivot_root in namespaces of its
# own. Not chroot: the kernel refuses user namespaces below one, and the grading sandbox needs them. Needs root and debootstrap.
# The system is kept in FRESH_ROOT (default: a folder under TMPDIR) with KEEP=1, so that a second run of the command can be tried.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$(pwd)

[ $# -ge 1 ] || { echo "usage: tests/fresh-root.sh COMMAND [ARGUMENTS]   (relative to the repository)" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "skipped: fresh-root.sh needs root (debootstrap, mounts)"; exit 77; }
command -v debootstrap >/dev/null || { echo "skipped: fresh-root.sh needs debootstrap (apt-get install debootstrap)"; exit 77; }

root=${FRESH_ROOT:-${TMPDIR:-/tmp}/bitsweep-fresh-root}
if [ ! -x "$root/bin/bash" ]; then
  # The machine's own mirror, so that a machine behind a proxy works too.
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \([^ [][^ ]*\) .*/\1/p' | head -n 1 || true)  # One of the two kinds of file is always missing.
  debootstrap --variant=minbase bookworm "$root" "${mirror:?no mirror found in /etc/apt}" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    exit 1
  }
  # How this machine reaches its mirror is a property of the machine, not of the system under test.
  cp -a /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/" 2>/dev/null || true
  if compgen -G "$root/etc/apt/sources.list.d/*.sources" >/dev/null; then
    rm -f "$root/etc/apt/sources.list"  # The same mirror again, by debootstrap.
  fi
  [ ! -s /etc/apt/sources.list ] || cp -a /etc/apt/sources.list "$root/etc/apt/"
  for part in apt.conf.d auth.conf.d trusted.gpg.d keyrings; do
    cp -a "/etc/apt/$part/." "$root/etc/apt/$part/" 2>/dev/null || true
  done
  rm -f "$root/etc/apt/apt.conf.d/docker-no-languages"
  mkdir -p "$root/etc/ssl/certs"
  cp -aL /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
  cp -aL /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
fi

mkdir -p "$root/src"
if [ -d "$root/src/bitsweep" ] && [ "${KEEP:-0}" = 1 ]; then
  echo "using the clone of an earlier run"
else
  rm -rf "$root/src/bitsweep"
  git clone -q "$repository" "$root/src/bitsweep"
fi

set +e
unshare --mount --pid --fork --kill-child bash -c '
  set -e
  root=$1; shift
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/.old"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  cd "$root"
  pivot_root . .old
  umount -l /.old
  cd /src/bitsweep
  exec env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    http_proxy="$http_proxy" https_proxy="$https_proxy" bash "$@"
' fresh-root "$root" "$@"
code=$?
set -e
if [ "${KEEP:-0}" != 1 ]; then
  rm -rf --one-file-system "$root"
fi
exit "$code"
