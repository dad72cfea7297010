#!/usr/bin/env bash
# Makes the built-in base again, from nothing: the text, the vocabulary, the weights. Half an hour to
# an hour on two cores. Arguments are passed on, as --tokens or --output.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
swift build -c release --product lora-world >&2
exec "$(swift build -c release --show-bin-path)/lora-world" train \
  --output Sources/LoRAWorld/Base "$@"
