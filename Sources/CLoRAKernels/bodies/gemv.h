// y = x Wᵀ for a few rows of x: the weights are read once, at memory speed.
//
// W is read as one stream from its first byte to its last, one row after the other: the processor's
// own prefetching follows one stream far better than several (four rows side by side reached a
// third of the memory's speed, measured), and prefetching into the second cache level some way
// ahead carries it over the ends of pages and of rows.
//
// Each result has 32 lanes of its own, folded at the end of each stretch of k. Tiles only change
// how many results share a load, never the order of a sum: a result has the same bits however the
// rows and columns are divided among calls.
#pragma once
#include "convert.h"
#include "reduce.h"

enum {
  LK(stretch) = 4096,
  LK(ahead_bytes) = 16384,  // how far ahead of its use a weight is asked for
  LK(gemv_rows) = 3,        // rows of x that share a weight in registers
  LK(short_row) = 128       // rows of W up to here cost more to fold than to multiply
};

typedef float LK(weight_f32);
typedef uint16_t LK(weight_bf16);

// 16 weights, widened.
LK_INLINE void LK(load_f32)(const float *w, LK(f16x) *v) { *v = *(const LK(f16x_any) *)w; }

LK_INLINE void LK(load_bf16)(const uint16_t *w, LK(f16x) *v) {
  *v = (LK(f16x))(__builtin_convertvector(*(const LK(h16x_any) *)w, LK(u16x)) << 16);
}

LK_INLINE float LK(one_f32)(const float *w) { return *w; }
LK_INLINE float LK(one_bf16)(const uint16_t *w) { return lk_float((uint32_t)*w << 16); }

#if LK_HAS_F16C || LK_HAS_FP16_TYPE
#define LK_GEMV_WIDENS_F16 1
typedef uint16_t LK(weight_f16);
#if LK_HAS_F16C
typedef _Float16 LK(half16x) __attribute__((vector_size(32), aligned(2), may_alias));
#else
typedef __fp16 LK(half16x) __attribute__((vector_size(32), aligned(2), may_alias));
#endif

LK_INLINE void LK(load_f16)(const uint16_t *w, LK(f16x) *v) {
  *v = __builtin_convertvector(*(const LK(half16x) *)w, LK(f16x));
}
LK_INLINE float LK(one_f16)(const uint16_t *w) { return LK(widen_f16)(*w); }
#endif

typedef float LK(f4x) __attribute__((vector_size(16)));

/// The first two steps of `fold`: eight lanes, then four.
LK_INLINE LK(f4x) LK(fold_to_four)(const LK(f16x) *v) {
  LK(f8x) half[2];
  memcpy(half, v, sizeof half);
  half[0] += half[1];
  LK(f4x) quarter[2];
  memcpy(quarter, half, sizeof quarter);
  return quarter[0] + quarter[1];
}

/// The other two for four vectors at once: sums[j] is what `fold` makes of the j-th.
LK_INLINE LK(f4x) LK(fold_four)(LK(f4x) a, LK(f4x) b, LK(f4x) c, LK(f4x) d) {
  const LK(f4x) ab = __builtin_shufflevector(a, b, 0, 1, 4, 5)
                     + __builtin_shufflevector(a, b, 2, 3, 6, 7);
  const LK(f4x) cd = __builtin_shufflevector(c, d, 0, 1, 4, 5)
                     + __builtin_shufflevector(c, d, 2, 3, 6, 7);
  return __builtin_shufflevector(ab, cd, 0, 2, 4, 6) + __builtin_shufflevector(ab, cd, 1, 3, 5, 7);
}

// `type`'s functions.
//
// gemv_four: y[j] (+)= x times the j-th of four short rows of W, which are ldw apart: each like a
// stretch of its own, folded together.
//
// sums[r] += the products of one stretch of one row of W with `tile_rows` rows of x. That number is
// a constant where this is inlined: the loops over it vanish, the lanes stay in registers. `ahead`
// is as long as the stretch and will be needed soon.
#define LK_GEMV(type)                                                                             \
  LK_INLINE void LK(gemv_tile_##type)(int tile_rows, long k, const float *x, long ldx,            \
                                      const LK(weight_##type) *w,                                 \
                                      const LK(weight_##type) *ahead, float *sums) {              \
    LK(f16x) even[LK(gemv_rows)] = {{0}}, odd[LK(gemv_rows)] = {{0}};                             \
    long i = 0;                                                                                   \
    for (; i + 32 <= k; i += 32) {                                                                \
      for (long byte = 0; byte < 32 * (long)sizeof *w; byte += 64)                                \
        __builtin_prefetch((const char *)(ahead + i) + byte, 0, 2);                               \
      LK(f16x) first, second;                                                                     \
      LK(load_##type)(w + i, &first);                                                             \
      LK(load_##type)(w + i + 16, &second);                                                       \
      for (int r = 0; r < tile_rows; r++) {                                                       \
        even[r] += *(const LK(f16x_any) *)(x + r * ldx + i) * first;                              \
        odd[r] += *(const LK(f16x_any) *)(x + r * ldx + i + 16) * second;                         \
      }                                                                                           \
    }                                                                                             \
    if (i + 16 <= k) {                                                                            \
      LK(f16x) last;                                                                              \
      LK(load_##type)(w + i, &last);                                                              \
      for (int r = 0; r < tile_rows; r++)                                                         \
        even[r] += *(const LK(f16x_any) *)(x + r * ldx + i) * last;                               \
      i += 16;                                                                                    \
    }                                                                                             \
    for (int r = 0; r < tile_rows; r++) {                                                         \
      float rest = 0.0f;                                                                          \
      for (long t = i; t < k; t++) rest += x[r * ldx + t] * LK(one_##type)(w + t);                \
      even[r] += odd[r];                                                                          \
      sums[r] += LK(fold)(&even[r]) + rest;                                                       \
    }                                                                                             \
  }                                                                                               \
                                                                                                  \
  LK_INLINE void LK(gemv_row_##type)(int tile_rows, long k, const float *x,                       \
                                     const LK(weight_##type) *w,                                  \
                                     const LK(weight_##type) *ahead, float *y, long ldy,          \
                                     bool accumulate) {                                           \
    float sums[LK(gemv_rows)] = {0};                                                              \
    for (long base = 0; base < k; base += LK(stretch))                                            \
      LK(gemv_tile_##type)(tile_rows, lk_smaller(LK(stretch), k - base), x + base, k, w + base,   \
                           ahead + base, sums);                                                   \
    for (int r = 0; r < tile_rows; r++)                                                           \
      y[r * ldy] = accumulate ? y[r * ldy] + sums[r] : sums[r];                                   \
  }                                                                                               \
                                                                                                  \
  LK_INLINE void LK(gemv_four_##type)(long k, const float *x, const LK(weight_##type) *w,         \
                                      long ldw, float *y, bool accumulate) {                      \
    LK(f4x) parts[4];                                                                             \
    float rest[4] = {0};                                                                          \
    for (int j = 0; j < 4; j++) {                                                                 \
      const LK(weight_##type) *row = w + j * ldw;                                                 \
      LK(f16x) even = {0}, odd = {0}, wide;                                                       \
      long i = 0;                                                                                 \
      for (; i + 32 <= k; i += 32) {                                                              \
        LK(load_##type)(row + i, &wide);                                                          \
        even += *(const LK(f16x_any) *)(x + i) * wide;                                            \
        LK(load_##type)(row + i + 16, &wide);                                                     \
        odd += *(const LK(f16x_any) *)(x + i + 16) * wide;                                        \
      }                                                                                           \
      if (i + 16 <= k) {                                                                          \
        LK(load_##type)(row + i, &wide);                                                          \
        even += *(const LK(f16x_any) *)(x + i) * wide;                                            \
        i += 16;                                                                                  \
      }                                                                                           \
      for (; i < k; i++) rest[j] += x[i] * LK(one_##type)(row + i);                               \
      even += odd;                                                                                \
      parts[j] = LK(fold_to_four)(&even);                                                         \
    }                                                                                             \
    const LK(f4x) folded = LK(fold_four)(parts[0], parts[1], parts[2], parts[3]);                 \
    for (int j = 0; j < 4; j++) {                                                                 \
      const float sum = folded[j] + rest[j];                                                      \
      y[j] = accumulate ? y[j] + sum : sum;                                                       \
    }                                                                                             \
  }                                                                                               \
                                                                                                  \
  static void LK(gemv_##type)(long rows, long n, long k, const float *x,                          \
                              const LK(weight_##type) *w, float *y, long ldy,                     \
                              bool accumulate) {                                                  \
    const long distance = LK(ahead_bytes) / (long)sizeof *w;                                      \
    long j = 0;                                                                                   \
    for (; k <= LK(short_row) && j + 4 <= n; j += 4)                                              \
      for (long r = 0; r < rows; r++)                                                             \
        LK(gemv_four_##type)(k, x + r * k, w + j * k, k, y + r * ldy + j, accumulate);            \
    for (; j < n; j++) {                                                                          \
      const LK(weight_##type) *row = w + j * k;                                                   \
      /* What lies beyond the last row is somebody else's to ask for. */                          \
      const LK(weight_##type) *ahead = (j + 1) * k + distance <= n * k ? row + distance : row;    \
      long r = 0;                                                                                 \
      for (; r + 3 < rows || r + 2 == rows; r += 2, ahead = row)                                  \
        LK(gemv_row_##type)(2, k, x + r * k, row, ahead, y + r * ldy + j, ldy, accumulate);       \
      if (r + 3 == rows)                                                                          \
        LK(gemv_row_##type)(3, k, x + r * k, row, ahead, y + r * ldy + j, ldy, accumulate);       \
      else if (r < rows)                                                                          \
        LK(gemv_row_##type)(1, k, x + r * k, row, ahead, y + r * ldy + j, ldy, accumulate);       \
    }                                                                                             \
  }

LK_GEMV(f32)
LK_GEMV(bf16)
#if LK_GEMV_WIDENS_F16
LK_GEMV(f16)
#else

// Float16 has no cheap widening here, so a stretch of a weight row is widened into the first-level
// cache once and then used for all rows of x.
static void LK(gemv_f16)(long rows, long n, long k, const float *x, const uint16_t *w, float *y,
                         long ldy, bool accumulate) {
  float wide[LK(stretch)];
  for (long j = 0; j < n; j++) {
    if (!accumulate)
      for (long r = 0; r < rows; r++) y[r * ldy + j] = 0.0f;
    for (long base = 0; base < k; base += LK(stretch)) {
      const long count = lk_smaller(LK(stretch), k - base);
      LK(f32_from_f16)(count, w + j * k + base, wide);
      for (long r = 0; r < rows; r++)
        LK(gemv_tile_f32)(1, count, x + r * k + base, 0, wide, wide, y + r * ldy + j);
    }
  }
}
#endif
