#!/usr/bin/env bash
# Runs the tests of concurrent use under ThreadSanitizer, the back end's in Examples/ too. Builds are
# kept apart from the others.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
swift test --sanitize=thread --scratch-path .build/thread-sanitizer --filter ConcurrencyTests "$@"
(
  cd Examples/AnswerService
  swift test --sanitize=thread --scratch-path .build/thread-sanitizer --filter ConcurrencyTests
)
