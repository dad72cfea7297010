// Products with a matrix that was packed before: for attention, whose factors are small, have odd
// strides and are used many times.
//
// Packed means cut into panels of 32 columns, padded with zeros; within a panel row follows row. A
// tile of the result stays in registers while the kernel goes once along a panel; the other factor
// is read in place, whatever its strides, an element at a time.
//
// A tile has so many rows, and vectors of 16 floats, that its accumulators and a row of the panel
// fit the registers: 32 of 16 floats, 16 of 8, or on Arm 32 of 4.
#pragma once
#include "reduce.h"

#define LK_PANEL 32

#if LK_LANES == 16
#define LK_PANEL_ROWS 8
#define LK_PANEL_VECTORS 2
#elif LK_LANES == 8 || LK_ARM
#define LK_PANEL_ROWS 6
#define LK_PANEL_VECTORS 1
#else
#define LK_PANEL_ROWS 2
#define LK_PANEL_VECTORS 1
#endif

static void LK(pack_panels)(long rows, long cols, const float *x, long ldx, float *panels,
                            long panel_step) {
  for (long c0 = 0; c0 < cols; c0 += LK_PANEL, panels += panel_step) {
    const long width = lk_smaller(LK_PANEL, cols - c0);
    for (long r = 0; r < rows; r++) {
      const float *from = x + r * ldx + c0;
      float *to = panels + r * LK_PANEL;
      for (long c = 0; c < width; c++) to[c] = from[c];
      for (long c = width; c < LK_PANEL; c++) to[c] = 0.0f;
    }
  }
}

static void LK(pack_panels_transposed)(long rows, long cols, const float *x, long ldx,
                                       float *panels, long panel_step) {
  for (long c0 = 0; c0 < cols; c0 += LK_PANEL, panels += panel_step) {
    const long width = lk_smaller(LK_PANEL, cols - c0);
    for (long r0 = 0; r0 < rows; r0 += 16) {  // a line of 64 bytes of each column
      const long r1 = lk_smaller(r0 + 16, rows);
      for (long r = r0; r < r1; r++) {
        float *to = panels + r * LK_PANEL;
        for (long c = 0; c < width; c++) to[c] = x[(c0 + c) * ldx + r];
        for (long c = width; c < LK_PANEL; c++) to[c] = 0.0f;
      }
    }
  }
}

/// One tile: c [rows, 16 LK_PANEL_VECTORS] (+)= a [rows, k] times that many columns of a panel.
LK_INLINE void LK(panel_tile)(const int rows, long k, const float *a, long row_step, long k_step,
                              const float *panel, bool accumulate, float *c, long ldc) {
  LK(f16x) sum[LK_PANEL_ROWS][LK_PANEL_VECTORS];
  LK_UNROLL
  for (int r = 0; r < rows; r++)
    LK_UNROLL
    for (int v = 0; v < LK_PANEL_VECTORS; v++)
      sum[r][v] = accumulate ? *(const LK(f16x_any) *)(c + r * ldc + 16 * v) : (LK(f16x)){0};
  for (long i = 0; i < k; i++, a += k_step, panel += LK_PANEL) {
    LK(f16x) row[LK_PANEL_VECTORS];
    LK_UNROLL
    for (int v = 0; v < LK_PANEL_VECTORS; v++) row[v] = *(const LK(f16x_any) *)(panel + 16 * v);
    LK_UNROLL
    for (int r = 0; r < rows; r++)
      LK_UNROLL
      for (int v = 0; v < LK_PANEL_VECTORS; v++) sum[r][v] += a[r * row_step] * row[v];
  }
  LK_UNROLL
  for (int r = 0; r < rows; r++)
    LK_UNROLL
    for (int v = 0; v < LK_PANEL_VECTORS; v++)
      *(LK(f16x_any) *)(c + r * ldc + 16 * v) = sum[r][v];
}

static void LK(panel_rows)(long rows, long k, const float *a, long row_step, long k_step,
                           const float *panel, bool accumulate, float *c, long ldc) {
#define LK_PANEL_CASE(count) \
  case count: LK(panel_tile)(count, k, a, row_step, k_step, panel, accumulate, c, ldc); break;
  switch (rows) {
    LK_PANEL_CASE(1)
#if LK_PANEL_ROWS > 2
    LK_PANEL_CASE(2)
    LK_PANEL_CASE(3)
    LK_PANEL_CASE(4)
    LK_PANEL_CASE(5)
#endif
#if LK_PANEL_ROWS > 6
    LK_PANEL_CASE(6)
    LK_PANEL_CASE(7)
#endif
    default: LK(panel_tile)(LK_PANEL_ROWS, k, a, row_step, k_step, panel, accumulate, c, ldc);
  }
#undef LK_PANEL_CASE
}

static void LK(panel_product)(long m, long n, long k, const float *a, long row_step, long k_step,
                              const float *panels, long panel_step, bool accumulate, float *c,
                              long ldc) {
  enum { width = 16 * LK_PANEL_VECTORS };
  for (long c0 = 0; c0 < n; c0 += width) {
    const float *panel = panels + c0 / LK_PANEL * panel_step + c0 % LK_PANEL;
    const long columns = lk_smaller(width, n - c0);
    for (long r = 0; r < m; r += LK_PANEL_ROWS) {
      const long rows = lk_smaller(LK_PANEL_ROWS, m - r);
      const float *ar = a + r * row_step;
      float *cr = c + r * ldc + c0;
      if (columns == width) {
        LK(panel_rows)(rows, k, ar, row_step, k_step, panel, accumulate, cr, ldc);
      } else {  // by way of a full tile
        float tile[LK_PANEL_ROWS * width] = {0};
        for (long i = 0; accumulate && i < rows; i++)
          memcpy(tile + i * width, cr + i * ldc, (size_t)columns * sizeof(float));
        LK(panel_rows)(rows, k, ar, row_step, k_step, panel, accumulate, tile, width);
        for (long i = 0; i < rows; i++)
          memcpy(cr + i * ldc, tile + i * width, (size_t)columns * sizeof(float));
      }
    }
  }
}
