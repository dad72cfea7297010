#!/usr/bin/env bash
# Installs what the package needs beside Swift: OpenBLAS and pkg-config. With `--for-checks` also
# python3, which Scripts/check-structure.py runs on. Does nothing if they are there. Debian and Ubuntu
# through apt, macOS through Homebrew.
#
#   Scripts/install-dependencies.sh [--for-checks]
set -euo pipefail

for_checks=false
case "${1:-}" in
  "") ;;
  --for-checks) for_checks=true ;;
  *) echo "error: '$1' is no option of $0; there is --for-checks" >&2; exit 64 ;;
esac

apt=() brew=()
if ! { command -v pkg-config && pkg-config --exists openblas; } >/dev/null; then
  apt+=(libopenblas-dev pkg-config)
  brew+=(openblas pkg-config)
fi
if $for_checks && ! command -v python3 >/dev/null; then
  apt+=(python3)
  brew+=(python3)
fi
if [ "${#apt[@]}" -eq 0 ]; then exit 0; fi

if command -v apt-get >/dev/null; then
  run=()
  if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi
  echo "installing ${apt[*]}" >&2
  "${run[@]}" apt-get update -qq >&2
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${apt[@]}" >&2
elif command -v brew >/dev/null; then
  echo "installing ${brew[*]}" >&2
  brew install "${brew[@]}" >&2
else
  echo "error: ${apt[*]} (Debian's names) must be installed, and there is neither apt-get nor brew" >&2
  exit 1
fi
