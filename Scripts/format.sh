#!/usr/bin/env bash
# Formats the Swift sources in place; with --check it only reports, and fails if anything differs.
set -euo pipefail
cd "$(dirname "$0")/.."

paths=(Package.swift Sources Tests Examples Benchmarks)
existing=()
for path in "${paths[@]}"; do if [ -e "$path" ]; then existing+=("$path"); fi; done
if [ "${1:-}" = --check ]; then
  swift format lint --strict --recursive --parallel "${existing[@]}"
else
  swift format --in-place --recursive --parallel "${existing[@]}"
fi
