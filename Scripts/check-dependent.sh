#!/usr/bin/env bash
# Shows that a package can depend on this one by version: unsafe flags in a manifest would forbid
# that under older tools versions. Makes a tagged copy and a small package that imports it.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

git clone -q "$root" "$work/lora-kit"
git -C "$work/lora-kit" -c user.name=check -c user.email=check@localhost tag -m check 99.0.0
mkdir -p "$work/dependent/Sources/dependent"
cat > "$work/dependent/Package.swift" <<SWIFT
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "dependent",
  dependencies: [.package(url: "file://$work/lora-kit", from: "99.0.0")],
  targets: [
    .executableTarget(
      name: "dependent", dependencies: [.product(name: "LoRATensor", package: "lora-kit")])
  ])
SWIFT
cat > "$work/dependent/Sources/dependent/main.swift" <<'SWIFT'
import LoRATensor

let x = Tensor([1, 2, 3, 4], shape: [2, 2])
print(x.matrixProduct(with: x).scalars())
SWIFT
cd "$work/dependent"
swift build 2>&1 | tail -n 3
[ "$(.build/debug/dependent)" = "[7.0, 10.0, 15.0, 22.0]" ]
echo "a versioned dependent builds and runs"
