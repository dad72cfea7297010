#!/usr/bin/env bash
# Passes the tests, in release: numerics are what a user runs. Arguments are passed on to
# `swift test`, as in `Scripts/test.sh --filter Conformance`.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
# One build for the tests and for the commands that they run.
swift build -c release --build-tests -Xswiftc -enable-testing
swift test -c release -Xswiftc -enable-testing --skip-build "$@"
