#!/usr/bin/env bash
# Runs the tests of concurrent use under ThreadSanitizer. Its build is kept apart from the others.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
swift test --sanitize=thread --scratch-path .build/thread-sanitizer --filter ConcurrencyTests "$@"
