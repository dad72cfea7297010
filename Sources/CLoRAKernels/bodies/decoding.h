// Attention of one query to the keys before it: every key and value is read once, where it lies.
#pragma once
#include "attention.h"
#include "gemv.h"

enum { LK(value_block) = 256 };  // what one lane adds up before its block goes to the output

// out[c] (+)= the sum over the block's keys of p v[c], for 16 * width consecutive columns. The width
// is a constant where this is inlined.
LK_INLINE void LK(weigh_values)(int width, long keys, const float *p, const float *v, long ldv,
                                bool accumulate, float *out) {
  LK(f16x) sums[4] = {{0}};
  for (long s = 0; s < keys; s++)
    for (int c = 0; c < width; c++)
      sums[c] += p[s] * *(const LK(f16x_any) *)(v + s * ldv + 16 * c);
  for (int c = 0; c < width; c++) {
    LK(f16x_any) *to = (LK(f16x_any) *)(out + 16 * c);
    if (accumulate) sums[c] += *to;
    *to = sums[c];
  }
}

static void LK(attention_row)(long keys, long size, const float *q, const float *k, long ldk,
                              const float *v, long ldv, float scale, float cap, float slope,
                              const float *bias, float *scores, float *out) {
  long s = 0;
  for (; size <= LK(short_row) && s + 4 <= keys; s += 4)
    LK(gemv_four_f32)(size, q, k + s * ldk, ldk, scores + s, false);
  for (; s < keys; s++)
    LK(gemv_row_f32)(1, size, q, k + s * ldk, k + s * ldk, scores + s, 0, false);
  LK(shaped_softmax_row)(keys, scale, cap, slope, keys - 1, bias, scores);
  if (keys == 0) LK(fill)(size, 0.0f, out);
  for (long base = 0; base < keys; base += LK(value_block)) {
    const long count = lk_smaller(LK(value_block), keys - base);
    const float *p = scores + base, *block = v + base * ldv;
    long c = 0;
    for (; c + 64 <= size; c += 64)
      LK(weigh_values)(4, count, p, block + c, ldv, base > 0, out + c);
    for (; c + 16 <= size; c += 16)
      LK(weigh_values)(1, count, p, block + c, ldv, base > 0, out + c);
    for (; c < size; c++) {
      float sum = 0.0f;
      for (long s = 0; s < count; s++) sum += p[s] * block[s * ldv + c];
      out[c] = base > 0 ? out[c] + sum : sum;
    }
  }
}
