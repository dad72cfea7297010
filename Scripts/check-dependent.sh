#!/usr/bin/env bash
# Follows README.md: a package that depends on this one by path, by URL and by version, and whose
# program is the one shown there, in main.swift and with @main, without a warning; it runs on the
# model that lies in this repository. It fetches swift-log and nothing else. Unsafe flags in a manifest would forbid a versioned dependency
# under older tools versions.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

git clone -q "$root" "$work/lora-kit"
git -C "$work/lora-kit" -c user.name=check -c user.email=check@localhost tag -m check 99.0.0
app="$work/my-app"
mkdir -p "$app/Sources/my-app"
cd "$app"

# The blocks of README.md: the manifest and the program, the first two.
block() { awk -v want="$1" '/^```swift$/ {n++; on = n == want; next} /^```$/ {on = 0} on' "$root/README.md"; }
block 1 > manifest.swift
block 2 > program.swift
grep -q '^import PackageDescription' manifest.swift
grep -q '^import LoRAKit' program.swift

# The manifest as it stands depends by path. The other two forms stand in comments.
manifest() {
  sed -E -e "s|^( *)// (\.package\(url: .*$1)|\1\2|" -e "s|https://[^\"]*|file://$work/lora-kit|" \
    -e "s|from: \"[0-9.]*\"|from: \"99.0.0\"|" manifest.swift \
    | { if [ "$1" = path ]; then cat; else sed '/\.package(path:/d'; fi; } > Package.swift
}
cp program.swift Sources/my-app/main.swift
for form in path 'branch:' 'from:'; do
  manifest "$form"
  rm -f Package.resolved
  swift package resolve 2>&1 | tail -n 1
  grep -c '^ *\.package(' Package.swift | grep -qx 1
  swift package show-dependencies | grep -q lora-kit
  # Of what this package depends on, only swift-log is fetched: the dependencies of the commands and of LoRAMetrics are behind
  # a trait.
  fetched="$(grep -o '"identity" : "[^"]*"' Package.resolved | cut -d'"' -f4 | grep -v '^lora-kit$')"
  [ "$fetched" = swift-log ] || { echo "fetched beside lora-kit: $fetched" >&2; exit 1; }
done

# By version, the last of them.
build() {
  swift build > build.log 2>&1 || { cat build.log; exit 1; }
  # The system's packages may warn; the program must not.
  if grep -E 'my-app/Sources/.*warning:' build.log; then exit 1; fi
}
build
.build/debug/my-app | tee output.txt | tail -n 2
grep -q 'adapted:  The filter light.$' output.txt
rm -r Sources/my-app/main.swift support-adapter
{
  sed '/^try await /d' program.swift
  printf '@main\nstruct App {\n  static func main() async throws {\n    %s\n  }\n}\n' \
    "$(grep '^try await ' program.swift)"
} > Sources/my-app/App.swift
build
.build/debug/my-app | cmp - output.txt
echo "a package made by README.md builds and runs, by path, by URL and by version"
