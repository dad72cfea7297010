#!/usr/bin/env bash
# Builds and tests the packages of Examples/ as a user would, in one workspace so that the library is
# compiled once; and reads the manifest of each, which must have the same targets.
set -euo pipefail
cd "$(dirname "$0")/../Examples"

targets() { swift package --package-path "$1" describe --type json \
  | python3 -c 'import json, sys; print(*sorted(t["name"] for t in json.load(sys.stdin)["targets"]))'; }

own=""
for package in */Package.swift; do
  own+=" $(targets "$(dirname "$package")")"
done
diff <(tr ' ' '\n' <<<"$own" | sed '/^$/d' | sort) <(targets . | tr ' ' '\n') || {
  echo "Examples/Package.swift has other targets than the packages in its folders" >&2
  exit 1
}
swift test
