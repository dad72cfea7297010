// Matrices by rows and columns.
#pragma once
#include "elementwise.h"
#include "reduce.h"

static void LK(add_row)(long rows, long cols, const float *row, float *y) {
  for (long r = 0; r < rows; r++) {
    float *yr = y + r * cols;
    LK_SIMD
    for (long c = 0; c < cols; c++) yr[c] += row[c];
  }
}

static void LK(mul_row)(long rows, long cols, const float *x, const float *row, float *y) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols;
    float *yr = y + r * cols;
    LK_SIMD
    for (long c = 0; c < cols; c++) yr[c] = xr[c] * row[c];
  }
}

// Four rows at a time: a quarter of the traffic on `sum`, and of the roundings.
static void LK(sum_rows)(long rows, long cols, const float *x, float *sum) {
  long r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float *a = x + r * cols, *b = a + cols, *c = b + cols, *d = c + cols;
    LK_SIMD
    for (long i = 0; i < cols; i++) sum[i] += (a[i] + b[i]) + (c[i] + d[i]);
  }
  for (; r < rows; r++) {
    const float *a = x + r * cols;
    LK_SIMD
    for (long i = 0; i < cols; i++) sum[i] += a[i];
  }
}

static void LK(row_sums)(long rows, long cols, const float *x, float *sum) {
  for (long r = 0; r < rows; r++) sum[r] = (float)LK(row_sum)(cols, x + r * cols);
}

static void LK(transpose)(long rows, long cols, const float *x, float *y) {
  enum { tile = 16 };  // a line of 64 bytes on either side; both tiles fit the first-level cache
  for (long r0 = 0; r0 < rows; r0 += tile)
    for (long c0 = 0; c0 < cols; c0 += tile) {
      const long r1 = lk_smaller(r0 + tile, rows), c1 = lk_smaller(c0 + tile, cols);
      for (long c = c0; c < c1; c++)
        for (long r = r0; r < r1; r++) y[c * rows + r] = x[r * cols + c];
    }
}

static void LK(row_dots)(long rows, long cols, const float *x, long ldx, const float *y, long ldy,
                         float *d) {
  for (long r = 0; r < rows; r++) d[r] = (float)LK(row_dot)(cols, x + r * ldx, y + r * ldy);
}

/// y = e^(x - shift); the sum of y. Nothing in x is much larger than `shift`.
static double LK(exp_sum)(long n, const float *x, float shift, float *y) {
  double total = 0.0;
  for (long base = 0; base < n; base += LK_BLOCK) {
    const long end = lk_smaller(base + LK_BLOCK, n);
    LK(f16x) lanes = {0}, more = {0};
    long k = base;
    for (; k + 32 <= end; k += 32) {
      LK(f16x) a = LK_V(x) - shift, b = LK_V(x + 16) - shift;
      LK(exp_below16)(&a);
      LK(exp_below16)(&b);
      *(LK(f16x_any) *)(y + k) = a;
      *(LK(f16x_any) *)(y + k + 16) = b;
      lanes += a;
      more += b;
    }
    float rest = 0.0f;
    for (; k < end; k++) rest += y[k] = LK(exp_below)(x[k] - shift);
    lanes += more;
    total += (double)LK(fold)(&lanes) + (double)rest;
  }
  return total;
}

/// y = softmax(scale x), in place allowed. Returns the logarithm of the sum of exponentials:
/// -infinity where there is none, and y is zero then. A NaN makes the whole row NaN.
static float LK(softmax_row)(long n, float scale, const float *x, float *y) {
  if (scale != 1.0f) {
    LK(scale)(n, scale, x, y);
    x = y;
  }
  const float largest = LK(row_max)(n, x);
  const float shift = largest == -INFINITY ? 0.0f : largest;  // -infinity - -infinity is NaN
  const double total = LK(exp_sum)(n, x, shift, y);
  LK(scale)(n, total == 0.0 ? 0.0f : (float)(1.0 / total), y, y);
  return (float)((double)shift + log(total));
}

static void LK(softmax)(long rows, long cols, const float *x, float *y) {
  for (long r = 0; r < rows; r++) LK(softmax_row)(cols, 1.0f, x + r * cols, y + r * cols);
}

static void LK(softmax_backward)(long rows, long cols, const float *y, const float *dy, float *dx) {
  for (long r = 0; r < rows; r++) {
    const float *yr = y + r * cols, *dyr = dy + r * cols;
    float *dxr = dx + r * cols;
    const float dot = (float)LK(row_dot)(cols, yr, dyr);
    LK_SIMD
    for (long c = 0; c < cols; c++) dxr[c] = yr[c] * (dyr[c] - dot);
  }
}
