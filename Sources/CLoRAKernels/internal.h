// What the C files of the kernels share: small helpers, and what a family is.
#ifndef LORA_KERNELS_INTERNAL_H
#define LORA_KERNELS_INTERNAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lora_kernels_table.h"

// The name of something that each family has one of, in a file that names its family as LK_FAMILY.
#define LK(name) LK_PASTE(LK_FAMILY, name)
#define LK_PASTE(family, name) LK_PASTE2(family, name)
#define LK_PASTE2(family, name) lk_##family##_##name
#define LK_TEXT(name) LK_TEXT2(name)
#define LK_TEXT2(name) #name

#define LK_INLINE static inline __attribute__((always_inline, unused))

// In front of a loop whose iterations are independent although its arrays may be the same one: an
// in-place call would otherwise fail the compiler's run-time overlap check and run one by one.
// LK_EXACT opens the body of a function whose bits must be the same in every family: no product
// and sum in it becomes one fused operation.
#if defined(__clang__)
#define LK_SIMD _Pragma("clang loop vectorize(assume_safety)")
#define LK_UNROLL _Pragma("clang loop unroll(full)")  // arrays of vectors become registers
#define LK_EXACT _Pragma("STDC FP_CONTRACT OFF")
#define LK_EXACT_ATTRIBUTE
#define LK_SQRT(x) __builtin_elementwise_sqrt(x)  // sqrtf may set errno, which prevents vectors
#else
#define LK_SIMD _Pragma("GCC ivdep")
#define LK_UNROLL _Pragma("GCC unroll 16")
#define LK_EXACT
#define LK_EXACT_ATTRIBUTE __attribute__((optimize("fp-contract=off")))
#define LK_SQRT(x) sqrtf(x)
#endif

#if defined(__x86_64__)
#define LK_X86 1
#elif defined(__aarch64__)
#define LK_ARM 1
#endif

LK_INLINE uint32_t lk_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

LK_INLINE float lk_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// The largest exponent of MXFP4 whose numbers, up to 6 times its power of two, are float32's.
enum { lk_largest_exponent = 252 };

LK_INLINE long lk_smaller(long a, long b) { return a < b ? a : b; }
LK_INLINE long lk_larger(long a, long b) { return a > b ? a : b; }

/// The columns [*from, *to) that a query sees of `cols` keys from first_key on, if it sees the keys
/// [first, end); *from <= *to, both in 0 ... cols.
LK_INLINE void lk_visible_keys(int32_t first, int32_t end, long first_key, long cols, long *from,
                               long *to) {
  const long last = lk_smaller(cols, end - first_key);
  *to = last < 0 ? 0 : last;
  const long start = first - first_key;
  *from = start < 0 ? 0 : lk_smaller(start, *to);
}

/// The index that a chunk of a product begins at; of pairs, an even one.
LK_INLINE long lk_chunk_start(const lk_gemm *g, long chunk) {
  if (chunk == g->chunks) return g->k;
  const long start = chunk * g->k / g->chunks;
  return g->rounds ? start / 2 * 2 : start;
}

/// The steps of the sum from one index to another: only the last one of a product may be half a pair.
LK_INLINE long lk_steps(const lk_gemm *g, long from, long to) {
  return g->rounds ? (to - from + 1) / 2 : to - from;
}

/// What a family's instructions take of the CPU.
typedef enum lk_cpu {
  LK_CPU_BASELINE,
  LK_CPU_AVX2,        // AVX2, FMA, F16C
  LK_CPU_AVX512,      // AVX-512 F, BW, VL, DQ
  LK_CPU_AVX512BF16,  // and BF16
} lk_cpu;

/// Whether this CPU, and its operating system, have the instructions.
bool lk_cpu_has(lk_cpu instructions);

/// Whether the dot product of bfloat16 pairs is slower than two multiply-adds.
bool lk_cpu_is_bf16_dot_slow(void);

/// A family of kernels: those of its own, and the family that it has the others from.
typedef struct lk_family_kernels {
  lk_family family;
  const char *name;
  const struct lk_family_kernels *inherits;  // NULL: all are its own
  lk_cpu needs;
  void (*override)(lk_kernel_table *table);  // NULL where the build's architecture lacks the family
} lk_family_kernels;

extern const lk_family_kernels lk_reference_kernels, lk_generic_kernels, lk_avx2_kernels,
    lk_avx512_kernels, lk_avx512bf16_kernels, lk_neon_kernels;

/// Fills the table: with what the family inherits, then with what is its own.
void lk_fill_table(const lk_family_kernels *family, lk_kernel_table *table);

#endif
