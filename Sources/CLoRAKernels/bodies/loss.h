// Cross-entropy over rows of logits.
#pragma once
#include "rows.h"

/// log sum exp of a row, without writing its exponentials anywhere but in the cache.
static double LK(log_sum_exp)(long n, const float *x) {
  float block[LK_BLOCK];
  const float largest = LK(row_max)(n, x);
  const float shift = largest == -INFINITY ? 0.0f : largest;
  double total = 0.0;
  for (long base = 0; base < n; base += LK_BLOCK)
    total += LK(exp_sum)(lk_smaller(LK_BLOCK, n - base), x + base, shift, block);
  return (double)shift + log(total);
}

static void LK(cross_entropy)(long rows, long cols, const float *logits, const int64_t *targets,
                              float *loss, float *lse) {
  for (long r = 0; r < rows; r++) {
    const float *row = logits + r * cols;
    const bool ignored = targets[r] < 0;
    if (ignored) loss[r] = 0.0f;
    if (ignored && !lse) continue;
    const double sum = LK(log_sum_exp)(cols, row);
    if (lse) lse[r] = (float)sum;
    if (!ignored) loss[r] = (float)(sum - (double)row[targets[r]]);
  }
}

static void LK(cross_entropy_gradient)(long rows, long cols, float *logits, const int64_t *targets,
                                       float scale, float *loss) {
  for (long r = 0; r < rows; r++) {
    float *row = logits + r * cols;
    if (targets[r] < 0) {
      loss[r] = 0.0f;
      LK(fill)(cols, 0.0f, row);
      continue;
    }
    const double own = (double)row[targets[r]];
    const float largest = LK(row_max)(cols, row);
    const float shift = largest == -INFINITY ? 0.0f : largest;
    const double total = LK(exp_sum)(cols, row, shift, row);
    loss[r] = (float)((double)shift + log(total) - own);
    LK(scale)(cols, (float)((double)scale / total), row, row);
    row[targets[r]] -= scale;
  }
}

static void LK(cross_entropy_backward)(long rows, long cols, float *logits, const int64_t *targets,
                                       const float *lse, float scale) {
  for (long r = 0; r < rows; r++) {
    float *row = logits + r * cols;
    if (targets[r] < 0) {
      LK(fill)(cols, 0.0f, row);
      continue;
    }
    const float shift = lse[r];
    // The target's element is done apart, so that the loop has no comparison in it.
    const float own = (LK(expf)(row[targets[r]] - shift) - 1.0f) * scale;
    LK_SIMD
    for (long c = 0; c < cols; c++) row[c] = LK(exp_below)(row[c] - shift) * scale;
    row[targets[r]] = own;
  }
}
