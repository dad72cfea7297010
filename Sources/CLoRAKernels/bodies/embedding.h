// Rows of an embedding table.
#pragma once
#include "convert.h"
#include "elementwise.h"

static void LK(gather_f32)(long rows, long cols, const float *table, const int64_t *ids, float *y) {
  if (cols <= 0) return;
  for (long r = 0; r < rows; r++)
    memcpy(y + r * cols, table + (long)ids[r] * cols, (size_t)cols * sizeof(float));
}

static void LK(gather_bf16)(long rows, long cols, const uint16_t *table, const int64_t *ids,
                            float *y) {
  for (long r = 0; r < rows; r++)
    LK(f32_from_bf16)(cols, table + (long)ids[r] * cols, y + r * cols);
}

static void LK(gather_f16)(long rows, long cols, const uint16_t *table, const int64_t *ids,
                           float *y) {
  for (long r = 0; r < rows; r++)
    LK(f32_from_f16)(cols, table + (long)ids[r] * cols, y + r * cols);
}

static void LK(scatter_add)(long rows, long cols, const float *dy, const int64_t *ids,
                            float *table) {
  for (long r = 0; r < rows; r++) {
    float *row = table + (long)ids[r] * cols;
    LK(add)(cols, dy + r * cols, row, row);
  }
}
