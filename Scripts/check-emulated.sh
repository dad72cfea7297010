#!/bin/sh
# Compares the kernels for CPUs that are not at hand with the reference; see Tests/Emulated/README.md.
# Needs clang and, for Arm, Debian's qemu-user-static, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross.
set -eu
cd "$(dirname "$0")/.."
kernels=Sources/CLoRAKernels
build=.build/emulated
rm -rf "$build"
mkdir -p "$build"
flags="-O1 -Wall -Wextra -I$kernels -I$kernels/include"

# AVX-512 without its instructions: the bodies at 16 lanes, its named instructions by definition.
mkdir -p "$build/sources"
cp -r "$kernels" "$build/sources/"
copy="$build/sources/CLoRAKernels"
sed -e 's|#include <immintrin.h>.*|#include "avx512_definitions.h"|' \
  "$kernels/families/x86.h" >"$copy/families/x86.h"
for family in avx512 avx512bf16; do
  sed -e 's|LK_TARGET "avx512[a-z0-9,]*"|LK_TARGET "avx2,fma,f16c"|' \
    -e '/LK_HAS_EMBEDDED_BROADCAST/d' \
    "$kernels/families/$family.c" >"$copy/families/$family.c"
done
emulated="-ITests/Emulated -I$copy -I$copy/include"
clang -O1 -Wall -Wextra -Wno-psabi $emulated Tests/Emulated/compare_families.c "$copy"/*.c \
  "$copy"/*/*.c -o "$build/compare-x86" -lpthread -lm
status=0
for family in generic avx2 avx512 avx512bf16; do "$build/compare-x86" "$family" || status=1; done

if command -v qemu-aarch64-static >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
  for file in "$kernels"/*.c "$kernels"/*/*.c Tests/Emulated/compare_families.c; do
    clang --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include $flags \
      -c "$file" -o "$build/$(echo "$file" | tr / _).o"
  done
  aarch64-linux-gnu-gcc -static "$build"/*.o -o "$build/compare-arm" -lpthread -lm
  qemu-aarch64-static "$build/compare-arm" neon || status=1
else
  echo "neon: skipped, no emulator for Arm here"
fi
exit $status
