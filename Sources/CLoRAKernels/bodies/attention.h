// Attention scores of one tile of queries and keys. What a query does not see is never computed:
// its visible keys are one interval, and the rest of the row is filled with zeros.
#pragma once
#include "rows.h"
#include "unary.h"

/// x = cap tanh(x / cap)
static void LK(soft_cap)(long n, float cap, float *x) {
  const float inverse = 1.0f / cap;
  LK_SIMD
  for (long i = 0; i < n; i++) x[i] = cap * LK(tanhf)(x[i] * inverse);
}

/// x = softmax(scale x), soft-capped before unless cap is 0. Returns what `softmax_row` does.
static float LK(capped_softmax_row)(long n, float scale, float cap, float *x) {
  if (cap > 0.0f) {
    LK(scale)(n, scale, x, x);
    LK(soft_cap)(n, cap, x);
    scale = 1.0f;
  }
  return LK(softmax_row)(n, scale, x, x);
}

static void LK(attention_softmax)(long rows, long cols, long stride, const int32_t *first,
                                  const int32_t *end, long first_key, float scale, float cap,
                                  float *s, float *lse) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    const float sum = LK(capped_softmax_row)(to - from, scale, cap, row + from);
    LK(fill)(from, 0.0f, row);
    LK(fill)(cols - to, 0.0f, row + to);
    if (lse) lse[r] = sum;
  }
}

static void LK(attention_exponentials)(long rows, long cols, long stride, const int32_t *first,
                                       const int32_t *end, long first_key, float cap, float *s,
                                       float *largest, double *sum, float *factor) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    if (cap > 0.0f) LK(soft_cap)(to - from, cap, row + from);
    const float before = largest[r], here = LK(row_max)(to - from, row + from);
    const float now = here > before ? here : before;
    const float shift = now == -INFINITY ? 0.0f : now;  // -infinity - -infinity is NaN
    factor[r] = before == now ? 1.0f : LK(expf)(before - shift);
    sum[r] = sum[r] * (double)factor[r] + LK(exp_sum)(to - from, row + from, shift, row + from);
    largest[r] = now;
    LK(fill)(from, 0.0f, row);
    LK(fill)(cols - to, 0.0f, row + to);
  }
}

static void LK(attention_finish)(long rows, long cols, const float *o, const float *largest,
                                 const double *sum, float *y, long ldy, float *lse) {
  for (long r = 0; r < rows; r++) {
    LK(scale)(cols, sum[r] == 0.0 ? 0.0f : (float)(1.0 / sum[r]), o + r * cols, y + r * ldy);
    if (lse) lse[r] = (float)((double)largest[r] + log(sum[r]));
  }
}

static void LK(attention_gradients)(long rows, long cols, long stride, const int32_t *first,
                                    const int32_t *end, long first_key, float cap, float *s,
                                    float *dp, const float *lse, const float *delta) {
  const float inverse = cap > 0.0f ? 1.0f / cap : 0.0f;
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride, *drow = dp + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    const float shift = lse[r], mean = delta[r];
    if (shift == -INFINITY) to = from = 0;  // the softmax of such a row was zero
    if (cap > 0.0f) {
      LK_SIMD
      for (long c = from; c < to; c++) {
        const float v = row[c] * inverse;
        const float p = LK(exp_below)(cap * LK(tanhf)(v) - shift);
        row[c] = p;
        drow[c] = p * (drow[c] - mean) * LK(tanh_slope)(v);
      }
    } else {
      LK_SIMD
      for (long c = from; c < to; c++) {
        const float p = LK(exp_below)(row[c] - shift);
        row[c] = p;
        drow[c] = p * (drow[c] - mean);
      }
    }
    LK(fill)(from, 0.0f, row);
    LK(fill)(cols - to, 0.0f, row + to);
    LK(fill)(from, 0.0f, drow);
    LK(fill)(cols - to, 0.0f, drow + to);
  }
}
