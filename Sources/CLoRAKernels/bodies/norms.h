// RMSNorm and LayerNorm with their backward passes, a row at a time: a row stays in the cache
// between its passes.
#pragma once
#include "reduce.h"

static void LK(rmsnorm)(long rows, long cols, const float *x, const float *weight, float eps,
                        float *y, float *inv) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols;
    float *yr = y + r * cols;
    const double squares = LK(row_dot)(cols, xr, xr);
    const float factor = (float)(1.0 / sqrt(squares / (double)cols + (double)eps));
    LK_SIMD
    for (long c = 0; c < cols; c++) yr[c] = xr[c] * factor * weight[c];
    if (inv) inv[r] = factor;
  }
}

// With u = x inv: dx = inv (w dy - u mean(w dy u)).
static void LK(rmsnorm_backward)(long rows, long cols, const float *x, const float *weight,
                                 const float *inv, const float *dy, float *dx, bool accumulate,
                                 float *dweight) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols, *dyr = dy + r * cols;
    const float factor = inv[r];
    if (dweight) {
      LK_SIMD
      for (long c = 0; c < cols; c++) dweight[c] += dyr[c] * (xr[c] * factor);
    }
    if (!dx) continue;
    float *dxr = dx + r * cols;
    double dot = 0.0;
    LK_ADD_SUM(dot, cols, LK_V(dyr) * LK_V(weight) * LK_V(xr), LK_S(dyr) * LK_S(weight) * LK_S(xr))
    const float mean = (float)(dot * (double)factor / (double)cols);
    if (accumulate) {
      LK_SIMD
      for (long c = 0; c < cols; c++)
        dxr[c] += factor * (dyr[c] * weight[c] - xr[c] * factor * mean);
    } else {
      LK_SIMD
      for (long c = 0; c < cols; c++)
        dxr[c] = factor * (dyr[c] * weight[c] - xr[c] * factor * mean);
    }
  }
}

static void LK(layernorm)(long rows, long cols, const float *x, const float *weight,
                          const float *bias, float eps, float *y, float *mean, float *inv) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols;
    float *yr = y + r * cols;
    const float centre = (float)(LK(row_sum)(cols, xr) / (double)cols);
    double squares = 0.0;
    LK_ADD_SUM(squares, cols, (LK_V(xr) - centre) * (LK_V(xr) - centre),
               (LK_S(xr) - centre) * (LK_S(xr) - centre))
    const float factor = (float)(1.0 / sqrt(squares / (double)cols + (double)eps));
    if (bias) {
      LK_SIMD
      for (long c = 0; c < cols; c++) yr[c] = (xr[c] - centre) * factor * weight[c] + bias[c];
    } else {
      LK_SIMD
      for (long c = 0; c < cols; c++) yr[c] = (xr[c] - centre) * factor * weight[c];
    }
    if (mean) mean[r] = centre;
    if (inv) inv[r] = factor;
  }
}

// With u = (x - mean) inv: dx = inv (w dy - mean(w dy) - u mean(w dy u)).
static void LK(layernorm_backward)(long rows, long cols, const float *x, const float *weight,
                                   const float *mean, const float *inv, const float *dy, float *dx,
                                   bool accumulate, float *dweight, float *dbias) {
  for (long r = 0; r < rows; r++) {
    const float *xr = x + r * cols, *dyr = dy + r * cols;
    const float centre = mean[r], factor = inv[r];
    if (dweight) {
      LK_SIMD
      for (long c = 0; c < cols; c++) dweight[c] += dyr[c] * ((xr[c] - centre) * factor);
    }
    if (dbias) {
      LK_SIMD
      for (long c = 0; c < cols; c++) dbias[c] += dyr[c];
    }
    if (!dx) continue;
    float *dxr = dx + r * cols;
    double sum = 0.0, dot = 0.0;
    LK_ADD_SUM(sum, cols, LK_V(dyr) * LK_V(weight), LK_S(dyr) * LK_S(weight))
    LK_ADD_SUM(dot, cols, LK_V(dyr) * LK_V(weight) * (LK_V(xr) - centre),
               LK_S(dyr) * LK_S(weight) * (LK_S(xr) - centre))
    const float first = (float)(sum / (double)cols);
    const float second = (float)(dot * (double)factor / (double)cols);
    if (accumulate) {
      LK_SIMD
      for (long c = 0; c < cols; c++)
        dxr[c] += factor * (dyr[c] * weight[c] - first - (xr[c] - centre) * factor * second);
    } else {
      LK_SIMD
      for (long c = 0; c < cols; c++)
        dxr[c] = factor * (dyr[c] * weight[c] - first - (xr[c] - centre) * factor * second);
    }
  }
}
