#!/usr/bin/env bash
# Counts the public declarations in the source of each product: types, functions, initializers,
# subscripts and properties, not cases and not the requirements of protocols. The table in
# Documentation/PublicAPI.md has what this prints.
set -euo pipefail
cd "$(dirname "$0")/.."

count() { { grep -rhE '^[[:space:]]*public ' --include='*.swift' "$@" || true; } | grep -vcE '^public import '; }

for module in LoRATensor LoRAAutograd LoRAFiles LoRAArchitectures LoRAFormats LoRAText LoRATemplates LoRAGrammars LoRAModels \
  LoRATraining LoRADataChecks LoRATesting LoRAMetrics; do
  printf '%-17s %4d\n' "$module" "$(count "Sources/$module")"
done
