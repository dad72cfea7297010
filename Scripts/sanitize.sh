#!/usr/bin/env bash
# Runs the tests of concurrent use under ThreadSanitizer, the back end's in Examples/ too; the readers
# on damaged files under AddressSanitizer; and the C kernels under AddressSanitizer and
# UndefinedBehaviorSanitizer, which Swift on Linux does not have. Builds are kept apart from the others.
set -euo pipefail
cd "$(dirname "$0")/.."

Scripts/install-dependencies.sh
# Only the tests that run are built, and no command.
LORA_ONLY_TESTS=LoRATrainingTests swift test --sanitize=thread \
  --scratch-path .build/thread-sanitizer --filter ConcurrencyTests "$@"
(
  cd Examples/AnswerService
  swift test --sanitize=thread --scratch-path .build/thread-sanitizer --filter ConcurrencyTests
)

echo "readers under AddressSanitizer"
# What the Swift runtime keeps for ever is not a leak of ours; and what the sanitizer itself holds back
# of freed memory, 256 MB unless told, must not count where the tests bound the readers' memory.
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16
LORA_ONLY_TESTS=FuzzTests LORA_FUZZ_ROUNDS="${LORA_FUZZ_ROUNDS:-500}" swift test --sanitize=address \
  --scratch-path .build/address-sanitizer --filter FuzzTests

echo "kernels under AddressSanitizer and UndefinedBehaviorSanitizer"
kernels=Sources/CLoRAKernels
mkdir -p .build/emulated
clang -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-psabi -Wno-pass-failed -fuse-ld=lld \
  -I"$kernels" -I"$kernels/include" Tests/Emulated/compare_families.c "$kernels"/*.c \
  "$kernels"/*/*.c -o .build/emulated/compare-sanitized -lpthread -lm
for family in reference generic avx2 neon; do
  if [[ "$family" == avx2 ]] && ! grep -q avx2 /proc/cpuinfo; then continue; fi
  status=0
  .build/emulated/compare-sanitized "$family" || status=$?
  # 2: this build has no such family.
  if [[ "$status" != 0 && "$status" != 2 ]]; then exit "$status"; fi
done
