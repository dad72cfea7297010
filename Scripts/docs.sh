#!/bin/sh
# Builds the documentation of every module, articles included, into .build/documentation.
# Fails on a link that leads nowhere and on every other warning.
#
#   Scripts/docs.sh [OUTPUT]
set -eu
cd "$(dirname "$0")/.."
output=${1:-.build/documentation}
mkdir -p "$(dirname "$output")"
swift package --allow-writing-to-directory "$output" generate-documentation \
  --target LoRATensor --target LoRAAutograd --target LoRAFiles --target LoRAArchitectures \
  --target LoRAFormats --target LoRAText --target LoRATemplates --target LoRAGrammars --target LoRAModels --target LoRATraining --target LoRADataChecks --target LoRATesting --target LoRAMetrics --target LoRAKit \
  --enable-experimental-combined-documentation --warnings-as-errors \
  --output-path "$output"
