#!/bin/sh
# The benchmarks of Benchmarks/. Times are reported; `check` fails where the buffers or bytes that a
# workload asks for differ from Benchmarks/counts.json. They are counted on one thread with the plainest
# vector kernels, which every machine has: each thread and each family has scratch memory of its own. A
# debug build is enough, which CI has no minutes more for: the kernels are optimized in it too, and
# values live as long in every one.
#
#   Scripts/benchmark.sh [--filter REGEX]    run and report
#   Scripts/benchmark.sh check               compare the counts with those stored
#   Scripts/benchmark.sh update              store them
set -eu
cd "$(dirname "$0")/../Benchmarks"
case "${1:-}" in
  check | update)
    swift build --product Counts
    LORA_THREADS=1 LORA_KERNELS=generic exec "$(swift build --show-bin-path)/Counts" "$1" counts.json
    ;;
  *)
    # OpenBLAS picks its kernels for the machine, whatever the environment was set up for.
    unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
    exec swift package benchmark --no-progress "$@"
    ;;
esac
