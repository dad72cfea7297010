// Sums and maxima over arrays. Their lanes are written out as vectors of 16 floats (one, two or
// four registers, as the family has them), because no compiler may reorder a float sum by itself.
#pragma once
#include "functions.h"

typedef float LK(f16x) __attribute__((vector_size(64)));
typedef float LK(f8x) __attribute__((vector_size(32)));
typedef int32_t LK(i16x) __attribute__((vector_size(64)));
typedef uint32_t LK(u16x) __attribute__((vector_size(64)));
typedef uint16_t LK(h16x) __attribute__((vector_size(32)));
typedef double LK(d8x) __attribute__((vector_size(64)));
// The same at any address.
typedef float LK(f16x_any) __attribute__((vector_size(64), aligned(4), may_alias));
typedef float LK(f8x_any) __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint16_t LK(h16x_any) __attribute__((vector_size(32), aligned(2), may_alias));

#define LK_V(array) (*(const LK(f16x_any) *)((array) + k))  // 16 elements from index k on
#define LK_S(array) ((array)[k])

LK_INLINE float LK(fold)(const LK(f16x) *v) {
  float t[16];
  memcpy(t, v, sizeof t);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) t[i] += t[i + half];
  return t[0];
}

LK_INLINE double LK(fold_double)(const LK(d8x) *v) {
  double t[8];
  memcpy(t, v, sizeof t);
  for (int half = 4; half > 0; half /= 2)
    for (int i = 0; i < half; i++) t[i] += t[i + half];
  return t[0];
}

/// x becomes e^x, 16 elements at once, each as `exp_below` has it.
LK_INLINE void LK(exp_below16)(LK(f16x) *value) {
  const LK(f16x) x = *value;
  const LK(f16x) shifted = x * LK_LOG2E + 12582912.0f;
  const LK(f16x) n = shifted - 12582912.0f;
  LK(f16x) r = x - n * LK_LN2_HIGH;
  r = r - n * LK_LN2_LOW;
  LK(f16x) q = 0.00138133718f * r + 0.00836941134f;
  q = q * r + 0.0416684523f;
  q = q * r + 0.166665152f;
  q = q * r + 0.49999994f;
  const LK(f16x) mantissa = (q * (r * r) + r) + 1.0f;
  const LK(f16x) power = (LK(f16x))(((LK(u16x))shifted << 23) + 0x3f800000u);
  const LK(i16x) none = x < LK_EXP_NORMAL;
  *value = (LK(f16x))((LK(i16x))(mantissa * power) & ~none);
}

// A lane adds at most 64 floats before its block goes to a double: a row of a vocabulary's length
// loses no more digits than a short one.
#define LK_BLOCK 2048

// `total` (double) += the sum over [0, n) of a term in float32, written for 16 elements (with LK_V)
// and for one (with LK_S).
#define LK_ADD_SUM(total, n, vector_term, scalar_term)                                  \
  for (long base_ = 0; base_ < (n); base_ += LK_BLOCK) {                                \
    const long end_ = lk_smaller(base_ + LK_BLOCK, (n));                                \
    LK(f16x) lanes_ = {0}, more_ = {0};                                                 \
    long at_ = base_;                                                                   \
    for (; at_ + 32 <= end_; at_ += 32) {                                               \
      { const long k = at_; lanes_ += vector_term; }                                    \
      { const long k = at_ + 16; more_ += vector_term; }                                \
    }                                                                                   \
    if (at_ + 16 <= end_) { const long k = at_; lanes_ += vector_term; at_ += 16; }     \
    float rest_ = 0.0f;                                                                 \
    for (; at_ < end_; at_++) { const long k = at_; rest_ += scalar_term; }             \
    lanes_ += more_;                                                                    \
    (total) += (double)LK(fold)(&lanes_) + (double)rest_;                               \
  }

// The same with doubles throughout, for the sums that leave the library as doubles.
#define LK_DOUBLES(array, k) __builtin_convertvector(*(const LK(f8x_any) *)((array) + (k)), LK(d8x))

#define LK_ADD_DOUBLE_SUM(total, n, vector_term, scalar_term)                           \
  do {                                                                                  \
    LK(d8x) lanes_ = {0}, more_ = {0};                                                  \
    long at_ = 0;                                                                       \
    for (; at_ + 16 <= (n); at_ += 16) {                                                \
      { const long k = at_; lanes_ += vector_term; }                                    \
      { const long k = at_ + 8; more_ += vector_term; }                                 \
    }                                                                                   \
    double rest_ = 0.0;                                                                 \
    for (; at_ < (n); at_++) { const long k = at_; rest_ += scalar_term; }              \
    lanes_ += more_;                                                                    \
    (total) += LK(fold_double)(&lanes_) + rest_;                                        \
  } while (0)

static double LK(sum)(long n, const float *x) {
  double total = 0.0;
  LK_ADD_DOUBLE_SUM(total, n, LK_DOUBLES(x, k), (double)LK_S(x));
  return total;
}

static double LK(sum_squares)(long n, const float *x) {
  double total = 0.0;
  LK_ADD_DOUBLE_SUM(total, n, LK_DOUBLES(x, k) * LK_DOUBLES(x, k),
                    (double)LK_S(x) * (double)LK_S(x));
  return total;
}

static double LK(dot)(long n, const float *x, const float *y) {
  double total = 0.0;
  LK_ADD_DOUBLE_SUM(total, n, LK_DOUBLES(x, k) * LK_DOUBLES(y, k),
                    (double)LK_S(x) * (double)LK_S(y));
  return total;
}

// In float32 lanes, for rows.
LK_INLINE double LK(row_sum)(long n, const float *x) {
  double total = 0.0;
  LK_ADD_SUM(total, n, LK_V(x), LK_S(x))
  return total;
}

LK_INLINE double LK(row_dot)(long n, const float *x, const float *y) {
  double total = 0.0;
  LK_ADD_SUM(total, n, LK_V(x) * LK_V(y), LK_S(x) * LK_S(y))
  return total;
}

// Where a lane of `value` is larger, it replaces that of `largest`; NaN never is.
#define LK_RAISE(largest, value)                                             \
  do {                                                                       \
    const LK(f16x) value_ = (value);                                         \
    const LK(i16x) larger_ = value_ > (largest);                             \
    (largest) = (LK(f16x))(((LK(i16x))value_ & larger_) |                    \
                           ((LK(i16x))(largest) & ~larger_));                \
  } while (0)

/// The largest element that is not NaN; -infinity if there is none.
static float LK(row_max)(long n, const float *x) {
  LK(f16x) a = (LK(f16x)){0} - INFINITY, b = a;
  long i = 0;
  for (; i + 32 <= n; i += 32) {
    { const long k = i; LK_RAISE(a, LK_V(x)); }
    { const long k = i + 16; LK_RAISE(b, LK_V(x)); }
  }
  LK_RAISE(a, b);
  float t[16], largest = -INFINITY;
  memcpy(t, &a, sizeof t);
  for (int j = 0; j < 16; j++) largest = t[j] > largest ? t[j] : largest;
  for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

static bool LK(any_nan)(long n, const float *x) {
  for (long base = 0; base < n; base += LK_BLOCK) {
    const long end = lk_smaller(base + LK_BLOCK, n);
    uint32_t found = 0;
    for (long i = base; i < end; i++) found |= (lk_bits(x[i]) & 0x7fffffffu) > 0x7f800000u;
    if (found) return true;
  }
  return false;
}

static float LK(max)(long n, const float *x) {
  return LK(any_nan)(n, x) ? NAN : LK(row_max)(n, x);
}

static long LK(argmax)(long n, const float *x) {
  float largest = -INFINITY;
  long block = -1;
  for (long base = 0; base < n; base += LK_BLOCK) {
    const float m = LK(row_max)(lk_smaller(LK_BLOCK, n - base), x + base);
    if (m > largest) {
      largest = m;
      block = base;
    }
  }
  // Without a block: nothing but -infinity and NaN, so the search starts at 0.
  for (long i = block < 0 ? 0 : block; i < n; i++)
    if (x[i] == largest) return i;
  return 0;
}

// Index of the first element with all exponent bits set, or -1: first its block, then itself.
#define LK_FIRST_NONFINITE(bits_of, exponent)                                    \
  for (long base = 0; base < n; base += LK_BLOCK) {                              \
    const long end = lk_smaller(base + LK_BLOCK, n);                             \
    uint32_t found = 0;                                                          \
    for (long i = base; i < end; i++) found |= (bits_of & exponent) == exponent; \
    for (long i = base; found && i < end; i++)                                   \
      if ((bits_of & exponent) == exponent) return i;                            \
  }                                                                              \
  return -1;

static long LK(first_nonfinite_f32)(long n, const float *x) {
  LK_FIRST_NONFINITE(lk_bits(x[i]), 0x7f800000u)
}

static long LK(first_nonfinite_bf16)(long n, const uint16_t *x) {
  LK_FIRST_NONFINITE(x[i], 0x7f80)
}

static long LK(first_nonfinite_f16)(long n, const uint16_t *x) {
  LK_FIRST_NONFINITE(x[i], 0x7c00)
}
