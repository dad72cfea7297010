#!/usr/bin/env bash
# From a fresh machine with Swift to two trained adapters: installs OpenBLAS if it is missing, builds
# in release (minutes, once) and runs `lora quickstart`. Arguments are passed on to it.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
swift build -c release --product lora >&2
exec "$(swift build -c release --show-bin-path)/lora" quickstart "$@"
