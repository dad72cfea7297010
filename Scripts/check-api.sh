#!/usr/bin/env bash
# Reports public declarations that changed incompatibly since the last release tag (v1.2.3 or 1.2.3),
# and fails if there are any; see Documentation/PublicAPI.md. Without a release there is nothing to
# compare with. Give another tag or commit as the argument.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline="${1:-$(git tag --list --sort=-version:refname | grep -E '^v?[0-9]+\.[0-9]+\.[0-9]+$' | head -n 1 || true)}"
if [ -z "$baseline" ]; then
  echo "no release tag yet: nothing to compare the public API with"
  exit 0
fi
swift package diagnose-api-breaking-changes "$baseline" \
  --products LoRAKit LoRATensor LoRAAutograd LoRAFiles LoRAArchitectures LoRAFormats LoRAText \
  LoRATemplates LoRAGrammars LoRAModels LoRATraining LoRADataChecks LoRATesting LoRAMetrics
