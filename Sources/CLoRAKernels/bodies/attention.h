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

/// x[i] += slope (i + distance), ALiBi's part of scores; distance is that of the first key.
static void LK(add_slope)(long n, float slope, long distance, float *x) {
  const int first = (int)distance;
  LK_SIMD
  for (int i = 0; i < (int)n; i++) x[i] += slope * (float)(first + i);
}

/// x = softmax(scale x), soft-capped before unless cap is 0, with a slope to the left of the last
/// key, which is `distance` behind the first one, and a bias for each unless that is NULL. Returns what
/// `softmax_row` does.
static float LK(shaped_softmax_row)(long n, float scale, float cap, float slope, long distance,
                                    const float *bias, float *x) {
  if (cap > 0.0f || slope != 0.0f || bias) {
    LK(scale)(n, scale, x, x);
    if (cap > 0.0f) LK(soft_cap)(n, cap, x);
    if (slope != 0.0f) LK(add_slope)(n, slope, -distance, x);
    if (bias) LK(add)(n, x, bias, x);
    scale = 1.0f;
  }
  return LK(softmax_row)(n, scale, x, x);
}

static void LK(attention_softmax)(long rows, long cols, long stride, const int32_t *first,
                                  const int32_t *end, long first_key, float scale, float cap,
                                  float slope, const float *bias, float *s, float *lse) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    const long distance = end[r] - 1 - (first_key + from);
    const float sum = LK(shaped_softmax_row)(to - from, scale, cap, slope, distance,
                                             bias ? bias + (from - r) : NULL, row + from);
    LK(fill)(from, 0.0f, row);
    LK(fill)(cols - to, 0.0f, row + to);
    if (lse) lse[r] = sum;
  }
}

static void LK(attention_exponentials)(long rows, long cols, long stride, const int32_t *first,
                                       const int32_t *end, long first_key, float cap, float slope,
                                       const float *bias, float *s, float *largest, double *sum,
                                       float *factor) {
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    if (cap > 0.0f) LK(soft_cap)(to - from, cap, row + from);
    if (slope != 0.0f) LK(add_slope)(to - from, slope, first_key + from - (end[r] - 1), row + from);
    if (bias) LK(add)(to - from, row + from, bias + (from - r), row + from);
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
                                    const int32_t *end, long first_key, float cap, float slope,
                                    const float *bias, float *s, float *dp, const float *lse,
                                    const float *delta) {
  const float inverse = cap > 0.0f ? 1.0f / cap : 0.0f;
  for (long r = 0; r < rows; r++) {
    float *row = s + r * stride, *drow = dp + r * stride;
    long from, to;
    lk_visible_keys(first[r], end[r], first_key, cols, &from, &to);
    const float shift = lse[r], mean = delta[r];
    if (shift == -INFINITY) to = from = 0;  // the softmax of such a row was zero
    const int place = (int)(first_key - (end[r] - 1));
    if (cap > 0.0f) {
      LK_SIMD
      for (int c = (int)from; c < (int)to; c++) {
        const float v = row[c] * inverse;
        const float added = bias ? bias[c - r] : 0.0f;
        const float p =
            LK(exp_below)(cap * LK(tanhf)(v) + slope * (float)(place + c) + added - shift);
        row[c] = p;
        drow[c] = p * (drow[c] - mean) * LK(tanh_slope)(v);
      }
    } else {
      if (slope != 0.0f) LK(add_slope)(to - from, slope, place + from, row + from);
      if (bias) LK(add)(to - from, row + from, bias + (from - r), row + from);
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
