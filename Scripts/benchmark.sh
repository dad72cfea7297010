#!/bin/sh
# The benchmarks of Benchmarks/. Times are reported; `check` fails where a count of allocations, bytes
# or operations differs from Benchmarks/Thresholds. Counts are taken on one thread with the plainest
# vector kernels, which every machine has: each thread and each family has scratch memory of its own.
#
#   Scripts/benchmark.sh [--filter REGEX]    run and report
#   Scripts/benchmark.sh check               compare the counts with those stored
#   Scripts/benchmark.sh update              store them
set -eu
cd "$(dirname "$0")/../Benchmarks"
# OpenBLAS picks its kernels for the machine, whatever the environment was set up for.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
case "${1:-}" in
  check | update) export LORA_BENCHMARK_COUNTS=1 LORA_THREADS=1 LORA_KERNELS=generic ;;
esac
case "${1:-}" in
  check) shift; exec swift package benchmark thresholds check --no-progress "$@" ;;
  update)
    shift
    exec swift package --allow-writing-to-package-directory benchmark thresholds update \
      --no-progress "$@" ;;
  *) exec swift package benchmark --no-progress "$@" ;;
esac
