#!/usr/bin/env bash
# Installs what the package needs beside Swift: OpenBLAS and pkg-config. Does nothing if they are
# there. Debian and Ubuntu through apt, macOS through Homebrew.
set -euo pipefail

if command -v pkg-config >/dev/null && pkg-config --exists openblas; then exit 0; fi

if command -v apt-get >/dev/null; then
  run=()
  if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi
  echo "installing libopenblas-dev and pkg-config" >&2
  "${run[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq libopenblas-dev pkg-config >&2
elif command -v brew >/dev/null; then
  brew install openblas pkg-config >&2
else
  echo "error: OpenBLAS is missing; install its development files (libopenblas-dev) and pkg-config" >&2
  exit 1
fi
