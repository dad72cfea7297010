#!/usr/bin/env bash
# Builds and tests every package in Examples/, as a user would.
set -euo pipefail
cd "$(dirname "$0")/../Examples"

for package in */Package.swift; do
  folder="$(dirname "$package")"
  echo "example: $folder"
  (cd "$folder" && swift test)
done
